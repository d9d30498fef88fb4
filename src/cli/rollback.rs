//! `lfctl rollback`: back to the generation before.

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::install::say_where;
use super::survey::{print_plan, secrets, survey};
use super::upgrade::installed;
use super::{Context, changing, recover};
use crate::appliance::Appliance;
use crate::change::runner::Purpose;
use crate::change::upgrade::{self, Leftovers};
use crate::change::{Blueprint, BringUp};
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, Images as _};
use crate::host::audit::{self, Deed};
use crate::stack::release::SchemaChange;

/// Arguments of `lfctl rollback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = Appliance::named(&context.paths, &self.name.name)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = (!self.dry_run).then(|| appliance.lock()).transpose()?;
        if !self.dry_run {
            recover::before_change(context, &engine, &facts, &appliance).await?;
        }
        let before = installed(&appliance)?;
        let Some(wanted) = before.previous.clone() else {
            return Err(Failure::new(
                Kind::Blocked,
                format!("there is no generation before {}", before.current.release),
            )
            .hint(format!(
                "`lfctl history --name {}` shows what there was",
                appliance.name()
            )));
        };
        if before.current.schema_change == SchemaChange::Destructive {
            return Err(Failure::new(
                Kind::Blocked,
                format!(
                    "{} cannot work on the databases that {} left",
                    wanted.release, before.current.release
                ),
            )
            .hint("going back takes a backup from before that upgrade"));
        }
        for image in wanted.images.values() {
            if engine.image(&image.id).await?.is_none() {
                return Err(Failure::new(
                    Kind::Blocked,
                    format!("the engine does not have {} any more", image.reference),
                )
                .hint("load it again from its bundle: `lfctl bundle load BUNDLE`"));
            }
        }
        let target = Blueprint::of_generation(&appliance, &wanted)?;
        let previous = Blueprint::of_generation(&appliance, &before.current)?;
        let mut change = BringUp {
            engine: &engine,
            facts: &facts,
            appliance: &appliance,
            paths: &context.paths,
            command: "rollback",
            bundle: None,
            bases: &[],
            secrets: secrets(&appliance, &target.stack, &target.site)?,
            target,
            previous: Some(previous),
            schema_change: SchemaChange::Additive,
            before: Some(before),
            reporter: context.reporter.as_ref(),
        };
        let found = survey(&change, |change, observed| {
            let target = &change.target;
            let leftovers = match &change.previous {
                Some(previous) => Leftovers::of(
                    &previous.stack,
                    &target.stack,
                    [&previous.images, &target.images],
                    &[],
                ),
                None => Leftovers::default(),
            };
            upgrade::rollback(&target.stack, observed, &leftovers)
        })
        .await?;
        if self.dry_run {
            return print_plan(context, &found);
        }
        let purpose = Purpose {
            bundle: Some(wanted.bundle),
            release: Some(wanted.release.clone()),
        };
        let work = changing::run(context, &appliance, &found.plan, purpose, &mut change);
        let result = Box::pin(work).await;
        let deed = Deed {
            command: "rollback".to_owned(),
            bundle: Some(wanted.bundle),
            key: wanted.key.clone(),
            result: result
                .as_ref()
                .map_or_else(Failure::first_line, |()| "done".to_owned()),
        };
        let audited = audit::append(&appliance.audit_path(), deed);
        result.map_err(|failure| failure.of_appliance(appliance.name()))?;
        audited?;
        say_where(&change);
        Ok(())
    }
}
