//! `lfctl rollback`: back to the generation before.

use super::args::ChangeArgs;
use super::failure::{Failure, Kind};
use super::install::say_where;
use super::standing::Standing;
use super::survey::{print_plan, survey};
use super::{Context, changing};
use crate::appliance::generation::Generation;
use crate::appliance::state::State;
use crate::change::Blueprint;
use crate::change::runner::Purpose;
use crate::change::upgrade;
use crate::host::audit::NewEntry;
use crate::stack::release::SchemaChange;

const ROLLBACK: &str = "rollback";

/// Arguments of `lfctl rollback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let here = Standing::of(&self.change, context).await?;
        // Once more would be forward again.
        if here.finished.as_deref() == Some(ROLLBACK) {
            return Ok(());
        }
        let wanted = generation_before(here.appliance.name(), &here.before)?;
        here.require_images(wanted.images.values()).await?;
        let target = Blueprint::of_generation(&here.appliance, &wanted)?;
        let mut change = here.change(context, ROLLBACK, target)?;
        let leftovers = change.leftovers()?;
        let found = survey(&change, |change, observed| {
            upgrade::rollback(&change.target.stack, observed, &leftovers)
        })
        .await?;
        if self.change.dry_run {
            return print_plan(context, &found);
        }
        let purpose = Purpose {
            bundle: Some(wanted.bundle),
            release: Some(wanted.release.clone()),
        };
        let entry = NewEntry {
            command: ROLLBACK.to_owned(),
            bundle: Some(wanted.bundle),
            key: wanted.key.clone(),
            ..NewEntry::default()
        };
        let plan = &found.plan;
        changing::run_audited(context, &here.appliance, plan, purpose, &mut change, entry).await?;
        say_where(context, &change);
        Ok(())
    }
}

/// The generation to go back to, if nothing is in the way.
fn generation_before(name: &str, state: &State) -> Result<Generation, Failure> {
    let current = &state.current;
    let Some(wanted) = state.previous.clone() else {
        return Err(Failure::new(
            Kind::Blocked,
            format!("there is no generation before {}", current.release),
        )
        .hint("`lfctl history` shows what there was"));
    };
    if current.schema_change == SchemaChange::Destructive {
        return Err(Failure::new(
            Kind::Blocked,
            format!(
                "{} cannot work on the databases that {} left",
                wanted.release, current.release
            ),
        )
        .hint(way_back(name, state)));
    }
    Ok(wanted)
}

/// What leads back where the databases do not.
fn way_back(name: &str, state: &State) -> String {
    let Some(backup) = &state.current.backup else {
        return "going back takes a backup from before that upgrade, and none is on record"
            .to_owned();
    };
    let repository = shell_words::quote(&backup.repository.to_string_lossy()).into_owned();
    format!(
        "its backup leads back, and what was accepted since {:.0} is lost: \
         `lfctl restore --from {repository} --snapshot {} --replace-data --name {name}`",
        backup.at, backup.snapshot
    )
}
