//! Runs a plan: each step is announced in the journal, done, and recorded.
//!
//! Invariant: nothing is touched before the line that announces it is on
//! disk. The first Ctrl-C ends the run after the current step.

use std::cell::Cell;

use super::InstallError;
use super::plan::{self, Plan};
use super::steps::Steps;
use crate::appliance::journal::{Record, StepOutcome};
use crate::engine::ContainerEngine;
use crate::report::event::{Outcome, Step as Running};

/// Set when the operator asks to stop.
#[derive(Debug, Default)]
pub struct Interrupt(Cell<bool>);

impl Interrupt {
    /// Asks the run to end after the current step.
    pub fn ask(&self) {
        self.0.set(true);
    }

    fn asked(&self) -> bool {
        self.0.get()
    }
}

/// Runs what is left to do of `plan`.
pub async fn apply<E: ContainerEngine>(
    plan: &Plan,
    steps: &mut Steps<'_, E>,
    interrupt: &Interrupt,
) -> Result<(), InstallError> {
    let journal = steps.appliance.journal();
    journal.append(Record::RunBegin {
        command: "install".to_owned(),
        bundle: Some(steps.bundle.digest()),
        release: Some(steps.bundle.manifest().release.clone()),
        lfctl: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    let result = run(plan, steps, interrupt).await;
    let recorded = journal.append(Record::RunEnd {
        complete: result.is_ok(),
    });
    // What went wrong first is what the operator must hear of.
    result.and_then(|()| Ok(recorded?))
}

async fn run<E: ContainerEngine>(
    plan: &Plan,
    steps: &mut Steps<'_, E>,
    interrupt: &Interrupt,
) -> Result<(), InstallError> {
    let journal = steps.appliance.journal();
    for planned in plan.steps.iter().filter(|planned| !planned.done) {
        let (step, id) = (&planned.step, planned.step.id());
        journal.append(Record::StepBegin { step: id.clone() })?;
        // Loading reports each image with its bytes itself.
        let running =
            (!step.reports_itself()).then(|| Running::start(steps.reporter, &id, &step.label()));
        let result = steps.run(step).await;
        let outcome = match &result {
            Ok(done) => done.outcome,
            Err(_) => Outcome::Failed,
        };
        let recorded = journal.append(Record::StepEnd {
            step: id.clone(),
            outcome: StepOutcome::from(outcome),
        });
        let done = result?;
        recorded?;
        if let Some(running) = running {
            running.finish(done.outcome, done.detail);
        }
        let is_last = *step == plan::Step::Commit;
        if interrupt.asked() && !is_last {
            return Err(InstallError::Interrupted { after: id });
        }
    }
    Ok(())
}
