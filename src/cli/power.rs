//! `lfctl start`, `lfctl stop` and `lfctl restart`.

use std::collections::BTreeSet;

use clap_complete::ArgValueCandidates;

use super::args::{ChangeArgs, NameArg};
use super::failure::{Failure, Kind};
use super::standing::{Standing, lost};
use super::survey::print_steps;
use super::{Context, candidates, changing};
use crate::change::observed::Fit;
use crate::change::plan::Plan;
use crate::change::power::{Power, standing};
use crate::change::{BringUp, Step, observe};
use crate::engine::docker::Docker;
use crate::facts::existing::Existing;
use crate::report::event::{Level, notice};
use crate::stack::Stack;

/// Arguments of `lfctl start`, `lfctl stop` and `lfctl restart`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Services; without one, all of them
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(candidates::services))]
    services: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What becomes of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    fn plan(self, power: &Power<'_>) -> Plan<Step> {
        match self {
            Self::Start => power.start(),
            Self::Stop => power.stop(),
            Self::Restart => power.restart(),
        }
    }

    fn nothing(self) -> &'static str {
        match self {
            Self::Start | Self::Restart => "every service that was asked for runs: nothing to do",
            Self::Stop => "every service that was asked for is stopped: nothing to do",
        }
    }
}

impl Args {
    pub(super) async fn run(self, verb: Verb, context: &Context) -> Result<(), Failure> {
        let here = Standing::of(&self.change, context).await?;
        let target = here.current()?;
        let named = self.named(&target.stack)?;
        let mut change = here.change(context, verb.name(), target)?;
        let plan = plan(verb, &here, &change, &named).await?;
        if self.change.dry_run {
            return print_steps(context, &plan);
        }
        let code = format!("{}.done", verb.name());
        if plan.is_done() {
            notice(
                context.reporter.as_ref(),
                Level::Info,
                &code,
                verb.nothing(),
            );
            return Ok(());
        }
        let mut command = vec![verb.name()];
        command.extend(named.iter().map(String::as_str));
        let (purpose, entry) = here.purpose(command.join(" "));
        changing::run_audited(context, &here.appliance, &plan, purpose, &mut change, entry).await
    }

    fn named(&self, stack: &Stack) -> Result<BTreeSet<String>, Failure> {
        let known: Vec<_> = stack.services.iter().map(|one| one.name.as_str()).collect();
        match self
            .services
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            None => Ok(self.services.iter().cloned().collect()),
            Some(name) => Err(
                Failure::new(Kind::Usage, format!("there is no service `{name}`"))
                    .hint(format!("services: {}", known.join(", "))),
            ),
        }
    }
}

/// Starts an appliance of which something is down that nobody stopped on
/// purpose, and tells whether that was so. An engine that was killed may leave
/// containers down that it should start.
pub(super) async fn bring_back(name: NameArg, context: &Context) -> Result<bool, Failure> {
    let here = Standing::of(
        &ChangeArgs {
            name,
            dry_run: false,
        },
        context,
    )
    .await?;
    if !here.before.stopped.is_empty() {
        return Ok(false);
    }
    let mut change = here.change(context, Verb::Start.name(), here.current()?)?;
    let stands = standing(&observe::existing(&change).await?);
    let services = change.target.stack.services.iter();
    let down: Vec<_> = services
        .filter(|one| stands.get(&one.name).is_none_or(|fit| *fit > Fit::Running))
        .map(|one| one.name.as_str())
        .collect();
    if down.is_empty() {
        return Ok(false);
    }
    let text = format!(
        "down, though nobody stopped it: {}; starting",
        down.join(", ")
    );
    notice(
        context.reporter.as_ref(),
        Level::Warning,
        "recover.down",
        text,
    );
    let plan = plan(Verb::Start, &here, &change, &BTreeSet::new()).await?;
    let (purpose, entry) = here.purpose("recover".to_owned());
    changing::run_audited(context, &here.appliance, &plan, purpose, &mut change, entry).await?;
    Ok(true)
}

/// The steps of `verb`, once it is clear that they can be done.
async fn plan(
    verb: Verb,
    here: &Standing,
    change: &BringUp<'_, Docker>,
    named: &BTreeSet<String>,
) -> Result<Plan<Step>, Failure> {
    let existing = observe::existing(change).await?;
    if verb != Verb::Stop {
        require_data(&existing)?;
        here.require_images(change.target.images.values()).await?;
    }
    Ok(verb.plan(&Power {
        stack: &change.target.stack,
        networks: &existing.networks,
        firewall_closed: observe::is_firewall_closed(here.appliance.name(), &existing.networks)?,
        standing: &standing(&existing),
        named,
        stopped: &here.before.stopped,
    }))
}

/// Fails where a volume is gone: a store without its data would come up empty.
fn require_data(existing: &Existing) -> Result<(), Failure> {
    let mut volumes = existing.volumes.iter();
    let gone = volumes.find(|(_, exists)| !**exists);
    gone.map_or(Ok(()), |(name, _)| Err(lost(name)))
}
