//! Runs a plan of changes while the operator may ask to stop.

use super::Context;
use super::admission::signer;
use super::failure::{Failure, Kind};
use super::signal::asked_to_stop;
use crate::appliance::Appliance;
use crate::bundle::open::Bundle;
use crate::change::plan::Plan;
use crate::change::runner::{Actions, Interrupt, Purpose, Runner};
use crate::host::audit::{self, NewEntry};
use crate::report::event::{Level, notice};

/// What journal and log say of a change to what is in `bundle`.
pub(super) fn to_bundle(command: &str, bundle: &Bundle) -> (Purpose, NewEntry) {
    let purpose = Purpose {
        bundle: Some(bundle.digest()),
        release: Some(bundle.manifest().release.clone()),
    };
    let entry = NewEntry {
        command: command.to_owned(),
        bundle: Some(bundle.digest()),
        key: Some(signer(bundle)),
        ..NewEntry::default()
    };
    (purpose, entry)
}

/// Runs a change and writes how it ended into the log of the appliance;
/// `entry` says all but that.
pub(super) async fn run_audited<A: Actions>(
    context: &Context,
    appliance: &Appliance,
    plan: &Plan<A::Step>,
    purpose: Purpose,
    actions: &mut A,
    entry: NewEntry,
) -> Result<(), Failure> {
    let result = Box::pin(run(context, appliance, plan, purpose, actions)).await;
    let ended = result
        .as_ref()
        .map_or_else(Failure::first_line, |()| "done".to_owned());
    let audited = audit::append(
        &appliance.audit_log(),
        NewEntry {
            result: ended,
            ..entry
        },
    );
    result?;
    Ok(audited?)
}

/// Runs what is left to do of `plan`. The first Ctrl-C ends the run as soon as
/// the current step can be left, the second one at once.
pub(super) async fn run<A: Actions>(
    context: &Context,
    appliance: &Appliance,
    plan: &Plan<A::Step>,
    purpose: Purpose,
    actions: &mut A,
) -> Result<(), Failure> {
    // Before anything changes: a run that is killed must show too.
    audit::append(
        &appliance.audit_log(),
        NewEntry {
            command: plan.command.clone(),
            bundle: purpose.bundle,
            key: None,
            result: "begun".to_owned(),
        },
    )?;
    let interrupt = Interrupt::default();
    let journal = appliance.journal();
    let reporter = context.reporter.as_ref();
    let runner = Runner {
        journal: &journal,
        reporter,
        interrupt: &interrupt,
    };
    let work = runner.run(plan, purpose, actions);
    tokio::pin!(work);
    let mut asked = false;
    loop {
        tokio::select! {
            result = &mut work => return result.map_err(Failure::from),
            () = asked_to_stop() => {
                if asked {
                    return Err(Failure::new(Kind::Interrupted, "stopped at once")
                        .hint("run the same command again to continue"));
                }
                asked = true;
                interrupt.ask();
                notice(
                    reporter,
                    Level::Warning,
                    &format!("{}.interrupt", plan.command),
                    "stopping as soon as this step can be left; press Ctrl-C again to stop at once",
                );
            }
        }
    }
}
