//! The steps of a backup.

use serde::{Deserialize, Serialize};

use crate::appliance::journal::{COMMIT, OnBreak};
use crate::change::plan::{Estimate, Phase, Plan, Step as StepValue};
use crate::facts::DiskNeed;
use crate::stack::{Stack, Store};

/// One step of a backup. What it leaves in a store while it is under way is
/// removed by its undoing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", content = "of", rename_all = "kebab-case")]
pub enum Step {
    /// Begin a snapshot.
    Begin,
    /// Stop the worker after its drain.
    PauseWorker,
    /// Save what Redis holds.
    SaveQueue,
    /// Link the parts of all tables of `ClickHouse`.
    Freeze,
    /// Start the worker again.
    ResumeWorker,
    /// Copy a store, by its kind.
    Copy(String),
    /// Copy site.toml, the secrets and the head of the bundle.
    CopySettings,
    /// Write the snapshot.
    Commit,
    /// Remove what was kept in the stores until it was copied.
    ClearUp,
}

impl StepValue for Step {
    fn id(&self) -> String {
        match self {
            Self::Begin => "begin-snapshot".to_owned(),
            Self::PauseWorker => "pause-worker".to_owned(),
            Self::SaveQueue => "save-queue".to_owned(),
            Self::Freeze => "freeze".to_owned(),
            Self::ResumeWorker => "resume-worker".to_owned(),
            Self::Copy(store) => format!("copy:{store}"),
            Self::CopySettings => "copy-settings".to_owned(),
            Self::Commit => COMMIT.to_owned(),
            Self::ClearUp => "clear-up".to_owned(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Begin => "begin a snapshot".to_owned(),
            Self::PauseWorker => "pause the worker; web keeps taking events".to_owned(),
            Self::SaveQueue => "save the queue".to_owned(),
            Self::Freeze => "freeze the tables of ClickHouse".to_owned(),
            Self::ResumeWorker => "start the worker again".to_owned(),
            Self::Copy(store) => format!("copy {store}"),
            Self::CopySettings => "copy site.toml, secrets and the head of the bundle".to_owned(),
            Self::Commit => "write the snapshot".to_owned(),
            Self::ClearUp => "remove what was frozen".to_owned(),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Begin => Phase::Stage,
            Self::ClearUp => Phase::Settle,
            _ => Phase::Window,
        }
    }

    fn is_commit(&self) -> bool {
        matches!(self, Self::Commit)
    }
}

/// The stores in the order in which they are cut.
pub(super) fn ordered(stack: &Stack) -> Vec<&Store> {
    let mut stores: Vec<_> = stack.stores.iter().collect();
    stores.sort_by_key(|store| store.rank());
    stores
}

/// Bytes a second that are copied, for an estimate.
const RATE: u64 = 50_000_000;

/// The plan of a backup. `sizes` are the bytes of each store, by kind; `on` is
/// the filesystem of the repository. A run that breaks off is undone.
pub fn plan(stack: &Stack, sizes: &[(String, u64)], on: &DiskNeed) -> Plan<Step> {
    let mut plan = Plan::new("backup", OnBreak::Undo);
    let second = Estimate {
        seconds: Some(1),
        ..Estimate::default()
    };
    plan.push(Step::Begin, false);
    plan.push_with(Step::PauseWorker, false, second.clone());
    plan.push_with(Step::SaveQueue, false, second.clone());
    plan.push_with(Step::Freeze, false, second.clone());
    plan.push_with(Step::ResumeWorker, false, second);
    for store in ordered(stack) {
        let size = sizes.iter().find(|(name, _)| name == store.name());
        let bytes = size.map_or(0, |(_, bytes)| *bytes);
        let estimate = Estimate {
            disk: vec![DiskNeed {
                bytes,
                purpose: format!("{} at the most", store.name()),
                ..on.clone()
            }],
            seconds: Some(bytes.div_ceil(RATE)),
            down: false,
        };
        plan.push_with(Step::Copy(store.name().to_owned()), false, estimate);
    }
    plan.push(Step::CopySettings, false);
    plan.push(Step::Commit, false);
    plan.push(Step::ClearUp, false);
    plan
}
