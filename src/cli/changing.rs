//! Runs a plan of changes while the operator may ask to stop.

use super::Context;
use super::failure::{Failure, Kind};
use super::signal::asked_to_stop;
use crate::appliance::Appliance;
use crate::change::plan::Plan;
use crate::change::runner::{Actions, Interrupt, Purpose, Runner};
use crate::report::event::{Level, notice};

/// Runs what is left to do of `plan`. The first Ctrl-C ends the run after the
/// current step, the second one at once.
pub(super) async fn run<A: Actions>(
    context: &Context,
    appliance: &Appliance,
    plan: &Plan<A::Step>,
    purpose: Purpose,
    actions: &mut A,
) -> Result<(), Failure> {
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
                    "stopping after the current step; press Ctrl-C again to stop at once",
                );
            }
        }
    }
}
