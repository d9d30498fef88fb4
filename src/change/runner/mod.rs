//! Runs a plan: each step is announced in the journal, done, and recorded.
//!
//! Invariant: nothing is touched before the line that announces it is on
//! disk. A change that is to be undone when it breaks off goes back step by
//! step, the last one first, unless it was committed; behind the commit
//! nothing is undone, and what fails is left to the next command. The first
//! Ctrl-C ends the run: at once where the step may be left, otherwise after it.

use std::cell::Cell;

use tokio::sync::Notify;

use super::error::ChangeError;
use super::plan::{Phase, Plan, Planned, Step};
use crate::appliance::journal::{
    Journal, OnBreak, Record, RunOutcome, StepOutcome, Unfinished, new_run,
};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, Step as Running, StepStatus, notice};
use crate::stack::release::Release;

/// Set when the operator asks to stop.
#[derive(Debug, Default)]
pub struct Interrupt {
    is_asked: Cell<bool>,
    asked: Notify,
}

impl Interrupt {
    /// Asks the run to end: now where the step may be left, otherwise after
    /// it.
    pub fn ask(&self) {
        self.is_asked.set(true);
        self.asked.notify_waiters();
    }

    fn asked(&self) -> bool {
        self.is_asked.get()
    }

    async fn wait(&self) {
        if !self.asked() {
            self.asked.notified().await;
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Whether anything was done.
    pub outcome: StepStatus,
    /// What there is to say about it.
    pub detail: Option<String>,
}

impl Done {
    /// Something was done.
    pub fn now() -> Self {
        Self {
            outcome: StepStatus::Done,
            detail: None,
        }
    }

    /// Something was done, and this is what came of it.
    pub fn with(detail: String) -> Self {
        Self {
            outcome: StepStatus::Done,
            detail: Some(detail),
        }
    }

    /// Nothing was left to do.
    pub fn already() -> Self {
        Self {
            outcome: StepStatus::AlreadyDone,
            detail: None,
        }
    }
}

/// Carries out the steps of one kind of change. Every step may be run again,
/// and undone again, from wherever an earlier attempt broke off.
#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait Actions {
    /// The steps it knows.
    type Step: Step;

    /// Does what is left of a step. `run` is the name of the run.
    async fn run(&mut self, step: &Self::Step, run: &str) -> Result<Done, ChangeError>;
    /// Takes a step back, however far it got.
    async fn undo(&mut self, step: &Self::Step) -> Result<(), ChangeError>;
}

/// What a run works with beside its plan.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// Where it is written down.
    pub journal: &'a Journal,
    /// Where events go.
    pub reporter: &'a dyn Reporter,
    /// Whether the operator wants it to end.
    pub interrupt: &'a Interrupt,
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

/// What a run says of itself in the journal.
#[derive(Debug, Clone, Default)]
pub struct Purpose {
    /// Bundle it works from.
    pub bundle: Option<Digest>,
    /// Release it works towards.
    pub release: Option<Release>,
}

/// How far a run got.
struct Progress<'p, S> {
    /// Steps that may have changed something.
    changed: Vec<&'p S>,
    committed: bool,
    /// The journal went with the last step.
    journal_gone: bool,
}

impl Runner<'_> {
    /// Runs what is left to do of `plan`.
    ///
    /// # Errors
    ///
    /// What the failed step says; [`ChangeError::RolledBack`] where the steps
    /// before it were undone, [`ChangeError::RollbackFailed`] where one could
    /// not be.
    pub async fn run<A: Actions>(
        &self,
        plan: &Plan<A::Step>,
        purpose: Purpose,
        actions: &mut A,
    ) -> Result<(), ChangeError> {
        let run = new_run()?;
        self.journal.append(
            &run,
            Record::RunBegin {
                command: plan.command.clone(),
                bundle: purpose.bundle,
                release: purpose.release,
                lfctl: env!("CARGO_PKG_VERSION").to_owned(),
                on_break: plan.on_break,
            },
        )?;
        let mut progress = Progress {
            changed: Vec::new(),
            committed: false,
            journal_gone: false,
        };
        let result = self.steps(plan, &run, actions, &mut progress).await;
        let result = match result {
            Err(cause) if plan.on_break == OnBreak::Undo && !progress.committed => {
                return self.take_back(plan, &run, actions, &progress, cause).await;
            }
            other => other,
        };
        if progress.journal_gone {
            return result;
        }
        let outcome = match &result {
            Ok(()) => RunOutcome::Complete,
            Err(_) if progress.committed => RunOutcome::Committed,
            Err(_) => RunOutcome::Failed,
        };
        let recorded = self.journal.append(&run, Record::RunEnd { outcome });
        // What went wrong first is what the operator must hear of.
        result.and_then(|()| Ok(recorded?))
    }

    async fn steps<'p, A: Actions>(
        &self,
        plan: &'p Plan<A::Step>,
        run: &str,
        actions: &mut A,
        progress: &mut Progress<'p, A::Step>,
    ) -> Result<(), ChangeError> {
        let last = plan.steps.iter().rposition(|planned| !planned.done);
        for (index, planned) in plan.steps.iter().enumerate() {
            if planned.done {
                continue;
            }
            self.step(planned, run, actions, progress).await?;
            if self.interrupt.asked() && Some(index) != last && !progress.committed {
                return Err(ChangeError::Interrupted {
                    after: planned.step.id(),
                });
            }
        }
        Ok(())
    }

    async fn step<'p, A: Actions>(
        &self,
        planned: &'p Planned<A::Step>,
        run: &str,
        actions: &mut A,
        progress: &mut Progress<'p, A::Step>,
    ) -> Result<(), ChangeError> {
        let (step, id) = (&planned.step, planned.step.id());
        self.journal.append(
            run,
            Record::StepBegin {
                step: id.clone(),
                what: serde_json::to_value(step).map_err(std::io::Error::other)?,
            },
        )?;
        progress.changed.push(step);
        // Some report each part with its bytes themselves.
        let running =
            (!step.reports_itself()).then(|| Running::start(self.reporter, &id, &step.label()));
        let result = tokio::select! {
            // What is done is done, also when it was to be stopped just then.
            biased;
            result = actions.run(step, run) => result,
            () = self.interrupt.wait(), if step.may_be_left() && !progress.committed => {
                Err(ChangeError::InterruptedDuring { step: id.clone() })
            }
        };
        progress.committed |= step.is_commit() && result.is_ok();
        if step.ends_journal() && result.is_ok() {
            progress.journal_gone = true;
        } else {
            let outcome = match &result {
                Ok(done) => done.outcome,
                Err(_) => StepStatus::Failed,
            };
            let recorded = self.journal.append(
                run,
                Record::StepEnd {
                    step: id.clone(),
                    outcome: StepOutcome::from(outcome),
                },
            );
            if result.is_ok() {
                recorded?;
            }
        }
        let done = result?;
        if done.outcome == StepStatus::AlreadyDone {
            progress.changed.pop();
        }
        if let Some(running) = running {
            running.finish(done.outcome, done.detail);
        }
        Ok(())
    }

    /// Undoes what a failed run had done.
    async fn take_back<A: Actions>(
        &self,
        plan: &Plan<A::Step>,
        run: &str,
        actions: &mut A,
        progress: &Progress<'_, A::Step>,
        cause: ChangeError,
    ) -> Result<(), ChangeError> {
        let in_window = progress
            .changed
            .iter()
            .any(|step| step.phase() == Phase::Window);
        notice(
            self.reporter,
            Level::Warning,
            "change.undo",
            format!("{} failed; going back: {cause}", plan.command),
        );
        if let Err((step, undo)) = self.undo(run, &progress.changed, actions).await {
            let outcome = RunOutcome::Failed;
            let _ = self.journal.append(run, Record::RunEnd { outcome });
            return Err(ChangeError::RollbackFailed {
                command: plan.command.clone(),
                step,
                undo: Box::new(undo),
                cause: Box::new(cause),
            });
        }
        let outcome = RunOutcome::Undone;
        self.journal.append(run, Record::RunEnd { outcome })?;
        if !in_window {
            // Nothing that serves was touched.
            return Err(cause);
        }
        Err(ChangeError::RolledBack {
            command: plan.command.clone(),
            cause: Box::new(cause),
        })
    }

    async fn undo<A: Actions>(
        &self,
        run: &str,
        changed: &[&A::Step],
        actions: &mut A,
    ) -> Result<(), (String, ChangeError)> {
        for step in changed.iter().rev() {
            let id = step.id();
            let label = format!("undo: {}", step.label());
            let running = Running::start(self.reporter, &format!("undo:{id}"), &label);
            let result = actions.undo(step).await;
            result.map_err(|error| (id.clone(), error))?;
            let undone = Record::StepUndone { step: id.clone() };
            let recorded = self.journal.append(run, undone);
            recorded.map_err(|error| (id.clone(), error.into()))?;
            running.finish(StepStatus::Done, None);
        }
        Ok(())
    }

    /// Undoes a run that an earlier lfctl left behind.
    ///
    /// # Errors
    ///
    /// A step that cannot be undone, or that this lfctl does not know.
    pub async fn undo_unfinished<A: Actions>(
        &self,
        unfinished: &Unfinished,
        actions: &mut A,
    ) -> Result<(), ChangeError>
    where
        A::Step: serde::de::DeserializeOwned,
    {
        let mut steps = Vec::new();
        for (id, what) in &unfinished.to_undo {
            let step: A::Step = serde_json::from_value(what.clone())
                .map_err(|_| ChangeError::UnknownStep { step: id.clone() })?;
            steps.push(step);
        }
        let steps: Vec<_> = steps.iter().collect();
        let run = &unfinished.run;
        let undone = self.undo(run, &steps, actions).await;
        undone.map_err(|(step, undo)| ChangeError::RollbackFailed {
            command: unfinished.command.clone(),
            step,
            undo: Box::new(undo),
            cause: Box::new(ChangeError::Interrupted {
                after: unfinished.step.clone().unwrap_or_default(),
            }),
        })?;
        let outcome = RunOutcome::Undone;
        Ok(self.journal.append(run, Record::RunEnd { outcome })?)
    }
}

#[cfg(test)]
mod tests;
