//! Plans: the steps of a change in order, and which are done already.
//!
//! A plan is made from values and does nothing. The runner does its steps and
//! no others, and `--dry-run` prints it.

use serde::Serialize;

use crate::appliance::journal::OnBreak;
use crate::facts::DiskNeed;

/// Which part of a change a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Touches nothing that serves.
    Stage,
    /// From the first thing that is touched to the commit.
    Window,
    /// After the commit: may fail without harm.
    Settle,
}

/// What a step will cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// Bytes by filesystem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disk: Vec<DiskNeed>,
    /// Seconds, a rough guess; none where there is nothing to go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The appliance answers no requests meanwhile.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
}

/// A step as a value.
pub trait Step: Clone + PartialEq + Serialize {
    /// Stable name for the journal and for programs.
    fn id(&self) -> String;
    /// What it does, in the operator's words.
    fn label(&self) -> String;
    /// Which part of a change it belongs to.
    fn phase(&self) -> Phase;
    /// Whether it can be left in the middle without harm, when the operator
    /// asks to stop.
    fn may_be_left(&self) -> bool {
        false
    }
    /// Whether carrying it out reports its own progress.
    fn reports_itself(&self) -> bool {
        false
    }
    /// Whether it is the atomic write behind which nothing is undone.
    fn is_commit(&self) -> bool {
        false
    }
    /// Whether the journal itself is gone once it is done.
    fn ends_journal(&self) -> bool {
        false
    }
}

/// A step and whether there is anything left to do in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Planned<S> {
    #[serde(flatten)]
    pub step: S,
    /// Which part of the change it belongs to.
    pub phase: Phase,
    /// Nothing is left to do.
    pub done: bool,
    /// What it will cost.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// The steps of a change, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan<S> {
    /// `install`, `uninstall`, …
    pub command: String,
    /// What becomes of a run that breaks off before its commit.
    pub on_break: OnBreak,
    pub steps: Vec<Planned<S>>,
}

impl<S: Step> Plan<S> {
    /// A plan without steps.
    pub fn new(command: &str, on_break: OnBreak) -> Self {
        Self {
            command: command.to_owned(),
            on_break,
            steps: Vec::new(),
        }
    }

    /// Appends a step.
    pub fn push(&mut self, step: S, done: bool) {
        self.push_with(step, done, Estimate::default());
    }

    /// Appends a step of a known cost.
    pub fn push_with(&mut self, step: S, done: bool, estimate: Estimate) {
        self.steps.push(Planned {
            phase: step.phase(),
            step,
            done,
            estimate,
        });
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|planned| planned.done)
    }

    /// Seconds that the steps left to do are expected to take.
    pub fn seconds(&self) -> u64 {
        let left = self.steps.iter().filter(|planned| !planned.done);
        left.filter_map(|planned| planned.estimate.seconds).sum()
    }

    /// Seconds of them in which the appliance answers no requests.
    pub fn downtime(&self) -> u64 {
        let left = self.steps.iter().filter(|planned| !planned.done);
        left.filter(|planned| planned.estimate.down)
            .filter_map(|planned| planned.estimate.seconds)
            .sum()
    }
}
