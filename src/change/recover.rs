//! What becomes of a change that broke off: decided by the journal and the one
//! write of the commit alone.

use super::blueprint::Blueprint;
use super::error::ChangeError;
use super::leftovers::Leftovers;
use super::plan::Plan;
use super::step::{Leads, PointOf, Step};
use crate::appliance::Appliance;
use crate::appliance::journal::{COMMIT, OnBreak, RECOVER, Unfinished};
use crate::appliance::state::{State, Status};

/// What is to be done about the last change.
#[derive(Debug)]
pub enum Recovery {
    /// Nothing: no change broke off, or the same command goes on with it.
    Nothing,
    /// It was not committed: its steps are undone.
    Undo(Unfinished),
    /// It was a backup: what it left in the stores is removed, and the worker
    /// runs again. A snapshot that was written stays.
    UndoBackup(Unfinished),
    /// It was committed: what is left of it is cleared up.
    ClearUp {
        /// The command.
        command: String,
        /// The steps that are left.
        plan: Plan<Step>,
        /// What ran before, which says how its services stop.
        previous: Option<Box<Blueprint>>,
    },
}

/// Decides what is to be done about the last change of an appliance.
///
/// # Errors
///
/// The journal or a generation cannot be read.
pub fn decide(appliance: &Appliance, state: &State) -> Result<Recovery, ChangeError> {
    let Some(run) = appliance.journal().unfinished()? else {
        return Ok(Recovery::Nothing);
    };
    if state.status != Status::Installed {
        return Ok(Recovery::Nothing);
    }
    if run.command == "backup" {
        return Ok(Recovery::UndoBackup(run));
    }
    // The write of the commit may have reached the disk without its line in
    // the journal.
    let is_written = run.step.as_deref() == Some(COMMIT) && state.run == run.run;
    if !run.committed && !is_written {
        return Ok(match run.on_break {
            OnBreak::Undo => Recovery::Undo(run),
            OnBreak::Resume => Recovery::Nothing,
        });
    }
    let mut plan = Plan::new(RECOVER, OnBreak::Resume);
    let mut previous = None;
    if let Some(before) = &state.previous {
        let number = before.number;
        let before = Blueprint::of_generation(appliance, before)?;
        let kept = [&before.images, &state.current.images];
        let older = appliance.generations()?;
        let langfuse = &state.stack.langfuse;
        let gateway = state.stack.service(&langfuse.gateway);
        if gateway.is_some_and(|gateway| gateway.reload.is_some()) {
            plan.push(Step::Lead(Leads::Open), false);
        }
        plan.push(Step::Succeed(langfuse.web.clone()), false);
        for volume in &before.stack.volumes {
            let point = PointOf {
                volume: volume.name.clone(),
                generation: number,
            };
            plan.push(Step::DropPoint(point), false);
        }
        Leftovers::of(
            &before.stack,
            &state.stack,
            kept,
            &older,
            state.current.number,
        )
        .push(&mut plan);
        previous = Some(Box::new(before));
    }
    plan.push(Step::RecordRelease, false);
    Ok(Recovery::ClearUp {
        command: run.command,
        plan,
        previous,
    })
}
