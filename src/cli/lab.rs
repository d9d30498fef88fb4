//! `lfctl doctor --egress-lab`: the update check under everything that a
//! network may do to it.

use super::Context;
use super::failure::{Failure, Kind};
use super::signal::asked_to_stop;
use crate::check::lab;
use crate::engine::docker::Docker;
use crate::facts::Subject;
use crate::facts::lab::{LabError, Mode, TELEMETRY_MODES, play};
use crate::report::event::{Step, StepStatus, Unit};

/// Options of the lab.
#[derive(Debug, clap::Args)]
pub(super) struct LabArgs {
    /// Try 13 ways in which a network may treat the update check, on a throwaway web server in a
    /// network of its own, and report what happens
    #[arg(long, conflicts_with_all = ["only", "all", "list", "prove_airgap"])]
    pub(super) egress_lab: bool,
    /// Try only these modes, such as `dropped,tls-silent`
    #[arg(
        long,
        value_name = "MODE",
        value_delimiter = ',',
        requires = "egress_lab"
    )]
    mode: Vec<Mode>,
}

impl LabArgs {
    pub(super) async fn run(
        &self,
        context: &Context,
        engine: &Docker,
        subject: &Subject,
    ) -> Result<(), Failure> {
        let modes = match self.mode.as_slice() {
            [] => &Mode::ALL,
            some => some,
        };
        run(context, engine, subject, modes).await
    }
}

async fn run(
    context: &Context,
    engine: &Docker,
    subject: &Subject,
    modes: &[Mode],
) -> Result<(), Failure> {
    let telemetry = TELEMETRY_MODES.iter().filter(|one| modes.contains(one));
    let plays = 2 * (modes.len() + telemetry.count());
    let count = u64::try_from(plays).unwrap_or(u64::MAX);
    let step = Step::sized(
        context.reporter.as_ref(),
        "lab",
        "playing the outside to a throwaway web",
        Some(count),
        Unit::Items,
    );
    let done = std::cell::Cell::new(0);
    let told = || {
        done.set(done.get() + 1);
        step.progress(done.get());
    };
    let played = match play(engine, subject, modes, asked_to_stop(), told).await {
        Ok(Some(played)) => played,
        Ok(None) => {
            step.finish(StepStatus::Failed, None);
            let failure = Failure::new(Kind::Interrupted, "interrupted: the lab is removed");
            return Err(failure.hint("run the same command again: it starts from the beginning"));
        }
        Err(error) => {
            step.finish(StepStatus::Failed, None);
            return Err(failure(error));
        }
    };
    let lab = lab::judge(&subject.name, &subject.release.to_string(), &played);
    step.finish(StepStatus::Done, None);
    context.print(&lab, &lab.text())?;
    match lab.findings.len() {
        0 => Ok(()),
        count => {
            let message = format!("not as it must be: {count} findings");
            Err(Failure::new(Kind::Blocked, message).already_shown())
        }
    }
}

fn failure(error: LabError) -> Failure {
    match error {
        LabError::Engine(error) => error.into(),
        error => Failure::from_error(Kind::Failed, &error),
    }
}
