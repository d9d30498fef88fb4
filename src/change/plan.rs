//! The plan of a change: which steps there are and which are done already.
//!
//! Pure: a plan is made from values and does nothing. `apply` runs it, and
//! `--dry-run` prints it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stack::{Stack, Stage};

/// One step of an install. Every step may be run again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "step", content = "of", rename_all = "kebab-case")]
pub enum Step {
    /// Write down what is about to be installed.
    Intend,
    /// Send the images that the engine lacks.
    LoadImages,
    /// Write `site.toml`.
    WriteSite,
    /// Generate the secrets that are missing.
    WriteSecrets,
    /// Make a network, by engine name.
    CreateNetwork(String),
    /// Make a volume, by engine name.
    CreateVolume(String),
    /// Make and start the container of a service.
    StartService(String),
    /// Wait until its health check holds.
    AwaitHealthy(String),
    /// Run the migration job to its end.
    Migrate,
    /// Read both schemas and compare them with the release.
    CheckSchemas,
    /// Ask web for its version.
    ProbeVersion,
    /// Send one event and read it back.
    ProbeEvent,
    /// Write `state.json`.
    Commit,
}

impl Step {
    /// Stable name for the journal and for programs.
    pub fn id(&self) -> String {
        match self {
            Self::Intend => "intend".to_owned(),
            Self::LoadImages => "load".to_owned(),
            Self::WriteSite => "write-site".to_owned(),
            Self::WriteSecrets => "write-secrets".to_owned(),
            Self::CreateNetwork(name) => format!("network:{name}"),
            Self::CreateVolume(name) => format!("volume:{name}"),
            Self::StartService(name) => format!("start:{name}"),
            Self::AwaitHealthy(name) => format!("healthy:{name}"),
            Self::Migrate => "migrate".to_owned(),
            Self::CheckSchemas => "check-schemas".to_owned(),
            Self::ProbeVersion => "probe:version".to_owned(),
            Self::ProbeEvent => "probe:event".to_owned(),
            Self::Commit => "commit".to_owned(),
        }
    }

    /// Whether carrying it out reports its own progress.
    pub fn reports_itself(&self) -> bool {
        matches!(self, Self::LoadImages)
    }

    /// What it does, in the operator's words.
    pub fn label(&self) -> String {
        match self {
            Self::Intend => "record what is to be installed".to_owned(),
            Self::LoadImages => "load images".to_owned(),
            Self::WriteSite => "write site.toml".to_owned(),
            Self::WriteSecrets => "generate secrets".to_owned(),
            Self::CreateNetwork(name) => format!("create network {name}"),
            Self::CreateVolume(name) => format!("create volume {name}"),
            Self::StartService(name) => format!("start {name}"),
            Self::AwaitHealthy(name) => format!("wait until {name} is healthy"),
            Self::Migrate => "migrate the databases".to_owned(),
            Self::CheckSchemas => "check both schemas".to_owned(),
            Self::ProbeVersion => "ask web for its version".to_owned(),
            Self::ProbeEvent => "send an event and read it back".to_owned(),
            Self::Commit => "record the installed release".to_owned(),
        }
    }
}

/// What is there before the plan is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Whether the engine holds the image, by image key.
    pub images: BTreeMap<String, bool>,
    /// Whether `site.toml` on disk equals the one to be written.
    pub site_written: bool,
    /// Whether every secret that the stack names exists.
    pub secrets_complete: bool,
    /// Networks of the plan by engine name, and whether each exists.
    pub networks: BTreeMap<String, bool>,
    /// Volumes of the plan by engine name, and whether each exists.
    pub volumes: BTreeMap<String, bool>,
    /// Containers by service.
    pub containers: BTreeMap<String, Standing>,
    /// What `state.json` says of this bundle.
    pub record: Record,
    /// A change of this appliance broke off: whatever looks right now has not
    /// proven itself.
    pub unfinished: bool,
}

/// What `state.json` says of a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Record {
    /// It does not name it.
    #[default]
    None,
    /// Its install began.
    Begun,
    /// Its install reached its end.
    Complete,
}

/// How the container of a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It runs as defined, and its health check holds.
    Healthy,
    /// It runs as defined, and its health check does not hold (yet).
    Running,
    /// Missing, stopped, or defined otherwise.
    Wrong,
}

/// A step and whether there is anything left to do in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// Nothing is left to do.
    pub done: bool,
}

/// The steps of an install, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Planned>,
}

impl Plan {
    /// The plan that brings `stack` up from what was observed.
    pub fn install(stack: &Stack, observed: &Observed) -> Self {
        let mut plan = Self { steps: Vec::new() };
        plan.push(Step::Intend, observed.record != Record::None);
        plan.push(
            Step::LoadImages,
            observed.images.values().all(|present| *present),
        );
        plan.push(Step::WriteSite, observed.site_written);
        plan.push(Step::WriteSecrets, observed.secrets_complete);
        for (name, exists) in &observed.networks {
            plan.push(Step::CreateNetwork(name.clone()), *exists);
        }
        for (name, exists) in &observed.volumes {
            plan.push(Step::CreateVolume(name.clone()), *exists);
        }
        plan.stage(stack, Stage::Data, observed);
        // Volumes that were made anew hold no schema, whatever was recorded.
        let committed =
            observed.record == Record::Complete && observed.volumes.values().all(|exists| *exists);
        plan.push(Step::Migrate, committed);
        plan.push(Step::CheckSchemas, committed);
        plan.stage(stack, Stage::App, observed);
        plan.stage(stack, Stage::Edge, observed);
        // What started anew must prove itself anew.
        let untouched = !observed.unfinished && plan.steps.iter().all(|planned| planned.done);
        plan.push(Step::ProbeVersion, untouched);
        plan.push(Step::ProbeEvent, untouched);
        plan.push(Step::Commit, untouched && committed);
        plan
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|planned| planned.done)
    }

    fn push(&mut self, step: Step, done: bool) {
        self.steps.push(Planned { step, done });
    }

    fn stage(&mut self, stack: &Stack, stage: Stage, observed: &Observed) {
        let standing = |name: &str| {
            observed
                .containers
                .get(name)
                .copied()
                .unwrap_or(Standing::Wrong)
        };
        for service in stack.stage(stage) {
            let done = standing(&service.name) != Standing::Wrong;
            self.push(Step::StartService(service.name.clone()), done);
        }
        for service in stack.stage(stage) {
            let done = standing(&service.name) == Standing::Healthy;
            self.push(Step::AwaitHealthy(service.name.clone()), done);
        }
    }
}
