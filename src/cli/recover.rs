//! `lfctl recover`: finishes or undoes a change that broke off, and starts what
//! is down though nobody stopped it.

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::unfinished::{before_change, say};
use super::{Context, power};
use crate::appliance::Appliance;
use crate::appliance::journal::OnBreak;
use crate::appliance::state::Status;
use crate::engine::ContainerEngine as _;
use crate::engine::docker::Docker;
use crate::host::firewall::Firewall;

/// Arguments of `lfctl recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let broke_off = take_up_or_refuse(context, &appliance).await?;
        let state = appliance.state()?;
        let is_installed = state.is_some_and(|state| state.status == Status::Installed);
        let was_down = is_installed && power::bring_back(self.name, context).await?;
        if !broke_off && !was_down {
            let looked = context.looked_in(&appliance.dir(), "lfctl recover");
            let text = format!("no change broke off: nothing to do; {looked}");
            say(context, "recover.nothing", &text);
        }
        Ok(())
    }
}

/// Finishes or undoes what broke off, and tells whether something did.
async fn take_up_or_refuse(context: &Context, appliance: &Appliance) -> Result<bool, Failure> {
    let _lock = appliance.lock()?;
    restore_firewall(context, appliance)?;
    let Some(run) = appliance.journal().unfinished()? else {
        return Ok(false);
    };
    if run.on_break == OnBreak::Resume && !run.committed {
        return Err(to_be_resumed(appliance.name(), &run.command));
    }
    let engine = Docker::connect(&context.engine).await?;
    let facts = engine.facts().await?;
    before_change(context, &engine, &facts, appliance).await?;
    Ok(true)
}

/// The failure for a command that goes on when it is run again.
fn to_be_resumed(name: &str, command: &str) -> Failure {
    let failure = Failure::new(
        Kind::Interrupted,
        format!("the {command} of `{name}` broke off and continues where it stopped"),
    );
    failure.hint(match command {
        "uninstall" | "start" | "stop" => {
            format!("run it again: `lfctl {command} --name {name}`")
        }
        "restore" => format!("run it again: `lfctl restore --from DIR --name {name} BUNDLE`"),
        "upgrade" => {
            format!("run it again: `lfctl upgrade --offline --stage --name {name} BUNDLE`")
        }
        _ => format!("run it again: `lfctl install --offline --name {name} BUNDLE`"),
    })
}

/// Puts back what a reboot, or a reload of the host's firewall, removed.
fn restore_firewall(context: &Context, appliance: &Appliance) -> Result<(), Failure> {
    let state = appliance.state()?;
    let is_installed = state.is_some_and(|state| state.status == Status::Installed);
    let restored = is_installed && Firewall::of(appliance.name()).restore()?;
    if restored {
        let text = "the host's firewall drops new connections of the gateway again";
        say(context, "recover.firewall", text);
    }
    Ok(())
}
