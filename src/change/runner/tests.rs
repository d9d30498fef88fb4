use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::*;
use crate::appliance::Appliance;
use crate::report::event::Silent;
use crate::sys::paths::Paths;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Toy(String);

impl Step for Toy {
    fn id(&self) -> String {
        self.0.clone()
    }

    fn label(&self) -> String {
        format!("do {}", self.0)
    }

    fn phase(&self) -> Phase {
        match self.0.as_str() {
            "stage" => Phase::Stage,
            "settle" => Phase::Settle,
            _ => Phase::Window,
        }
    }

    fn is_commit(&self) -> bool {
        self.0 == "commit"
    }

    fn may_be_left(&self) -> bool {
        self.0 == "wait"
    }
}

/// Writes down what it is asked to do, and fails where it is told to.
#[derive(Default)]
struct Toys {
    fail_run: Option<&'static str>,
    fail_undo: Option<&'static str>,
    already: Option<&'static str>,
    calls: RefCell<Vec<String>>,
}

impl Toys {
    fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }
}

impl Actions for Toys {
    type Step = Toy;

    async fn run(&mut self, step: &Toy, _run: &str) -> Result<Done, ChangeError> {
        self.calls.borrow_mut().push(step.0.clone());
        if self.fail_run == Some(step.0.as_str()) {
            return Err(std::io::Error::other("run").into());
        }
        if step.0 == "wait" {
            std::future::pending::<()>().await;
        }
        if self.already == Some(step.0.as_str()) {
            return Ok(Done::already());
        }
        Ok(Done::now())
    }

    async fn undo(&mut self, step: &Toy) -> Result<(), ChangeError> {
        self.calls.borrow_mut().push(format!("-{}", step.0));
        if self.fail_undo == Some(step.0.as_str()) {
            return Err(std::io::Error::other("undo").into());
        }
        Ok(())
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    journal: Journal,
    interrupt: Interrupt,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "toys").unwrap();
        Self {
            journal: appliance.journal(),
            interrupt: Interrupt::default(),
            _dir: dir,
        }
    }

    async fn run(
        &self,
        on_break: OnBreak,
        steps: &[&str],
        toys: &mut Toys,
    ) -> Result<(), ChangeError> {
        let mut plan = Plan::new("upgrade", on_break);
        for step in steps {
            plan.push(Toy((*step).to_owned()), *step == "done");
        }
        self.runner().run(&plan, Purpose::default(), toys).await
    }

    fn runner(&self) -> Runner<'_> {
        Runner {
            journal: &self.journal,
            reporter: &Silent,
            interrupt: &self.interrupt,
        }
    }
}

const STEPS: &[&str] = &["stage", "done", "a", "b", "commit", "settle"];

#[tokio::test]
async fn what_is_done_already_is_left_alone() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap();
    assert_eq!(toys.calls(), ["stage", "a", "b", "commit", "settle"]);
    assert_eq!(rig.journal.unfinished().unwrap(), None);
}

#[tokio::test]
async fn a_failure_before_the_commit_is_undone_from_the_last_step() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    toys.fail_run = Some("b");
    let error = rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap_err();
    assert!(matches!(error, ChangeError::RolledBack { .. }), "{error}");
    assert_eq!(toys.calls(), ["stage", "a", "b", "-b", "-a", "-stage"]);
    assert_eq!(rig.journal.unfinished().unwrap(), None);
}

#[tokio::test]
async fn a_step_that_changed_nothing_is_not_undone() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    (toys.already, toys.fail_run) = (Some("a"), Some("b"));
    rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap_err();
    assert_eq!(toys.calls(), ["stage", "a", "b", "-b", "-stage"]);
}

#[tokio::test]
async fn a_failure_in_stage_touched_nothing_that_serves() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    toys.fail_run = Some("stage");
    let error = rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap_err();
    assert!(matches!(error, ChangeError::Io(_)), "{error}");
    assert_eq!(toys.calls(), ["stage", "-stage"]);
}

#[tokio::test]
async fn behind_the_commit_nothing_is_undone() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    toys.fail_run = Some("settle");
    rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap_err();
    assert_eq!(toys.calls(), ["stage", "a", "b", "commit", "settle"]);
    assert!(rig.journal.unfinished().unwrap().unwrap().committed);
}

#[tokio::test]
async fn a_change_that_is_resumed_undoes_nothing() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    toys.fail_run = Some("b");
    rig.run(OnBreak::Resume, STEPS, &mut toys)
        .await
        .unwrap_err();
    assert_eq!(toys.calls(), ["stage", "a", "b"]);
    let run = rig.journal.unfinished().unwrap().unwrap();
    assert_eq!(run.step.as_deref(), Some("b"));
}

#[tokio::test]
async fn an_undo_that_fails_is_gone_on_with_by_the_next_command() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    (toys.fail_run, toys.fail_undo) = (Some("b"), Some("a"));
    let error = rig.run(OnBreak::Undo, STEPS, &mut toys).await.unwrap_err();
    let ChangeError::RollbackFailed { step, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(step, "a");
    let run = rig.journal.unfinished().unwrap().unwrap();
    let mut again = Toys::default();
    rig.runner()
        .undo_unfinished(&run, &mut again)
        .await
        .unwrap();
    assert_eq!(again.calls(), ["-a", "-stage"]);
    assert_eq!(rig.journal.unfinished().unwrap(), None);
}

#[tokio::test]
async fn an_interruption_ends_a_run_between_steps_and_not_behind_the_commit() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    rig.interrupt.ask();
    let error = rig
        .run(OnBreak::Resume, STEPS, &mut toys)
        .await
        .unwrap_err();
    assert!(matches!(error, ChangeError::Interrupted { .. }), "{error}");
    assert_eq!(toys.calls(), ["stage"]);
    let mut toys = Toys::default();
    rig.run(OnBreak::Resume, &["commit", "settle"], &mut toys)
        .await
        .unwrap();
    assert_eq!(toys.calls(), ["commit", "settle"]);
}

#[tokio::test]
async fn an_interruption_ends_a_step_that_may_be_left_at_once() {
    let (rig, mut toys) = (Rig::new(), Toys::default());
    let run = rig.run(OnBreak::Resume, &["a", "wait", "b"], &mut toys);
    let ask = async {
        tokio::task::yield_now().await;
        rig.interrupt.ask();
    };
    let (result, ()) = tokio::join!(run, ask);
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "interrupted during `wait`");
    assert_eq!(toys.calls(), ["a", "wait"]);
    let left = rig.journal.unfinished().unwrap().unwrap();
    assert_eq!(left.step.as_deref(), Some("wait"));
}
