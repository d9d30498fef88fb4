//! What becomes of a change that broke off: decided by the journal and the one
//! write of the commit alone.

use super::blueprint::Blueprint;
use super::error::ChangeError;
use super::plan::Plan;
use super::step::Step;
use super::upgrade::Leftovers;
use crate::appliance::Appliance;
use crate::appliance::journal::{COMMIT, OnBreak, Unfinished};
use crate::appliance::state::{State, Status};

/// What is to be done about the last change.
#[derive(Debug)]
pub enum Recovery {
    /// Nothing: no change broke off, or the same command goes on with it.
    Nothing,
    /// It was not committed: its steps are undone.
    Undo(Unfinished),
    /// It was committed: what is left of it is cleared up.
    ClearUp {
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
    // The write of the commit may have reached the disk without its line in
    // the journal.
    let is_written = run.step.as_deref() == Some(COMMIT) && state.run == run.run;
    if !run.committed && !is_written {
        return Ok(match run.on_break {
            OnBreak::Undo => Recovery::Undo(run),
            OnBreak::Resume => Recovery::Nothing,
        });
    }
    let mut plan = Plan::new("recover", OnBreak::Resume);
    let mut previous = None;
    if let Some(before) = &state.previous {
        let before = Blueprint::of_generation(appliance, before)?;
        let kept = [&before.images, &state.current.images];
        let older = appliance.generations()?;
        Leftovers::of(&before.stack, &state.stack, kept, &older).push(&mut plan);
        previous = Some(Box::new(before));
    }
    plan.push(Step::RecordRelease, false);
    Ok(Recovery::ClearUp { plan, previous })
}
