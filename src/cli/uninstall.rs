//! `lfctl uninstall`: takes an appliance off this host.

use std::fmt::Write;

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::{Context, appliance_engine, changing, prompt};
use crate::appliance::Appliance;
use crate::appliance::state::{State, Status};
use crate::change::runner::Purpose;
use crate::change::uninstall::{self, Removal, Uninstall};
use crate::engine::docker::Docker;
use crate::host::audit::NewEntry;

/// Arguments of `lfctl uninstall`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
    /// Remove volumes, secrets and configuration too: all data is lost
    #[arg(long)]
    purge: bool,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what carries the appliance's label even if this host has no record of it; or forget a
    /// record whose engine is gone
    #[arg(long)]
    without_record: bool,
    /// Do not fail when there is nothing to remove
    #[arg(long)]
    if_installed: bool,
}

impl Args {
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let (state, removal) = self.look(&engine, &appliance).await?;
        if self.dry_run {
            return context.print(&removal, &describe(&removal));
        }
        if removal.is_empty() && !self.is_left(&appliance, state.as_ref())? {
            return self.nothing(&appliance);
        }
        self.confirm(context, &appliance, &removal)?;
        let _lock = appliance.lock()?;
        // The question may have stood there for a while: look again.
        let (state, removal) = self.look(&engine, &appliance).await?;
        let bundle = state.as_ref().map(|state| state.current.bundle);
        let purpose = Purpose {
            bundle,
            release: state.as_ref().map(|state| state.current.release.clone()),
        };
        let plan = uninstall::plan(&removal, state.is_some());
        let mut actions = Uninstall {
            engine: &engine,
            appliance: &appliance,
            state,
        };
        let command = ["uninstall", "uninstall --purge"][usize::from(self.purge)];
        let entry = NewEntry {
            command: command.to_owned(),
            bundle,
            ..NewEntry::default()
        };
        changing::run_audited(context, &appliance, &plan, purpose, &mut actions, entry).await
    }

    /// What is recorded, and what there is to remove.
    async fn look(
        &self,
        engine: &Docker,
        appliance: &Appliance,
    ) -> Result<(Option<State>, Removal), Failure> {
        let state = appliance.state()?;
        let removal = uninstall::find(engine, appliance, state.as_ref(), self.purge).await?;
        let name = appliance.name();
        match &state {
            None if removal.has_objects() && !self.without_record => {
                return Err(Failure::new(
                    Kind::Blocked,
                    format!("the engine holds parts of `{name}` that lfctl has no record of here"),
                )
                .hint("run lfctl as the user, and with the `--root`, that installed it")
                .hint("if that record is lost, remove them with `--without-record`"));
            }
            Some(state) if !self.without_record => {
                let checked = appliance_engine::check(name, state, engine).await;
                checked.map_err(|failure| {
                    failure.hint("if that engine is gone for good, add `--without-record`")
                })?;
            }
            _ => {}
        }
        Ok((state, removal))
    }

    /// Whether files of the appliance are left that this run has to deal with.
    fn is_left(&self, appliance: &Appliance, state: Option<&State>) -> Result<bool, Failure> {
        let begun = state.is_some_and(|state| state.status != Status::Uninstalled)
            || appliance.journal().unfinished()?.is_some();
        let files = appliance.dir().exists() || appliance.site_path().exists();
        Ok(begun || (self.purge && files))
    }

    fn nothing(&self, appliance: &Appliance) -> Result<(), Failure> {
        if self.if_installed {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Failed,
            format!(
                "there is nothing of appliance `{}` to remove",
                appliance.name()
            ),
        )
        .hint("`lfctl status` lists the appliances of this host"))
    }

    fn confirm(
        &self,
        context: &Context,
        appliance: &Appliance,
        removal: &Removal,
    ) -> Result<(), Failure> {
        if context.yes {
            return Ok(());
        }
        if !prompt::is_possible() {
            return Err(Failure::new(
                Kind::Usage,
                "uninstall asks before it removes anything, and there is no terminal",
            )
            .hint("add `--yes` to answer yes, or `--dry-run` to see what would go"));
        }
        let shown = context.reporter.as_ref();
        for line in describe(removal).lines() {
            crate::report::event::notice(
                shown,
                crate::report::event::Level::Info,
                "uninstall.plan",
                line,
            );
        }
        let agreed = if self.purge {
            let question = format!(
                "All data of `{0}` will be lost. Type its name to continue",
                appliance.name()
            );
            prompt::ask(&question, None, |typed| Ok(typed == appliance.name()))?
        } else {
            let question = format!("Uninstall `{}`? Its data stays", appliance.name());
            prompt::confirm(&question, false)?
        };
        if agreed {
            Ok(())
        } else {
            Err(Failure::new(
                Kind::Failed,
                "nothing was removed: not confirmed",
            ))
        }
    }
}

fn describe(removal: &Removal) -> String {
    let mut text = String::new();
    let mut list = |what: &str, names: &[String]| {
        if !names.is_empty() {
            let _ = writeln!(text, "{what:<12}{}", names.join(", "));
        }
    };
    list("containers", &removal.containers);
    list("networks", &removal.networks);
    list("images", &removal.tags);
    let units: Vec<_> = removal
        .units
        .iter()
        .map(|unit| unit.display().to_string())
        .collect();
    list("units", &units);
    if removal.purge {
        list("volumes", &removal.volumes);
        text.push_str("purged      configuration, state and secrets\n");
    } else {
        list("kept", &removal.volumes);
    }
    text
}
