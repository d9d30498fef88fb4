//! The lines of the journal as values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::report::event::StepStatus;
use crate::stack::release::Release;

/// Schema of the lines that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 2;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The run it belongs to; empty in a line of schema 1.
    #[serde(default)]
    pub run: String,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: Record,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A command began to change the appliance.
    RunBegin {
        /// `install`, `upgrade`, `uninstall`, …
        command: String,
        /// Bundle it works from.
        bundle: Option<Digest>,
        /// Release it works towards.
        release: Option<Release>,
        /// Version of lfctl.
        lfctl: String,
        /// What the next command does if this run breaks off.
        #[serde(default)]
        on_break: OnBreak,
    },
    /// A step is about to change something.
    StepBegin {
        /// Its id.
        step: String,
        /// The step as a value, from which it can be undone.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        what: serde_json::Value,
    },
    StepEnd {
        /// Its id.
        step: String,
        outcome: StepOutcome,
    },
    /// A step was undone.
    StepUndone {
        /// Its id.
        step: String,
    },
    /// The command ended by itself.
    RunEnd { outcome: RunOutcome },
}

/// What becomes of a run that broke off before it was committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBreak {
    /// The same command goes on where it stopped.
    #[default]
    Resume,
    /// The steps that began are undone, the last one first.
    Undo,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It reached its goal.
    Complete,
    /// It was committed, and clearing up is not finished.
    Committed,
    /// It failed or was interrupted.
    Failed,
    /// It failed, and all its steps were undone.
    Undone,
}

/// How a step ended, as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// Something was done.
    Done,
    /// Nothing was left to do.
    AlreadyDone,
    /// Left out on purpose.
    Skipped,
    Failed,
}

impl From<StepStatus> for StepOutcome {
    fn from(outcome: StepStatus) -> Self {
        match outcome {
            StepStatus::Done => Self::Done,
            StepStatus::AlreadyDone => Self::AlreadyDone,
            StepStatus::Skipped => Self::Skipped,
            StepStatus::Failed => Self::Failed,
        }
    }
}
