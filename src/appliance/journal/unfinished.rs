//! What the journal says of a run that did not reach its goal.

use jiff::Timestamp;

use super::record::{Entry, OnBreak, Record, RunOutcome, StepOutcome};
use crate::oci::digest::Digest;
use crate::stack::release::Release;

/// Id of the step that commits a change.
pub const COMMIT: &str = "commit";

/// The command of a run that clears up behind the commit of another.
pub const RECOVER: &str = "recover";

/// The last run, when it did not reach its goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its name; empty when an lfctl without names of runs wrote it.
    pub run: String,
    pub command: String,
    /// Bundle it worked from.
    pub bundle: Option<Digest>,
    /// Release it worked towards.
    pub release: Option<Release>,
    /// The step that began and did not end well, if one did.
    pub step: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// What becomes of it.
    pub on_break: OnBreak,
    /// Whether it was committed, so that only clearing up is left.
    pub committed: bool,
    /// Steps that may have changed something and were not undone, in the order
    /// in which they began.
    pub to_undo: Vec<(String, serde_json::Value)>,
}

pub(super) fn unfinished(entries: &[Entry]) -> Option<Unfinished> {
    let mut last: Option<Unfinished> = None;
    for entry in entries {
        if let Record::RunBegin {
            command,
            bundle,
            release,
            on_break,
            ..
        } = &entry.what
        {
            // What it leaves undone is still left of the other one.
            if command == RECOVER
                && let Some(run) = &mut last
            {
                run.committed = true;
                continue;
            }
            last = Some(Unfinished {
                run: entry.run.clone(),
                command: command.clone(),
                bundle: *bundle,
                release: release.clone(),
                step: None,
                at: entry.at,
                on_break: *on_break,
                committed: false,
                to_undo: Vec::new(),
            });
            continue;
        }
        let Some(run) = &mut last else {
            continue;
        };
        match &entry.what {
            Record::StepBegin { step, what } => {
                run.step = Some(step.clone());
                run.to_undo.push((step.clone(), what.clone()));
            }
            Record::StepEnd { step, outcome } => {
                if *outcome != StepOutcome::Failed {
                    run.step = None;
                }
                run.committed |= step == COMMIT && *outcome == StepOutcome::Done;
                if matches!(outcome, StepOutcome::AlreadyDone | StepOutcome::Skipped) {
                    run.to_undo.retain(|(id, _)| id != step);
                }
            }
            Record::StepUndone { step } => run.to_undo.retain(|(id, _)| id != step),
            Record::RunEnd { outcome } => match outcome {
                RunOutcome::Complete | RunOutcome::Undone => last = None,
                RunOutcome::Committed => run.committed = true,
                RunOutcome::Failed => {}
            },
            Record::RunBegin { .. } => {}
        }
    }
    last
}
