//! The backup that an upgrade writes before it touches anything.

use std::path::PathBuf;

use super::create::Job;
use super::repository::RepositoryPassword;
use crate::appliance::Appliance;
use crate::appliance::backup::Records;
use crate::appliance::state::State;
use crate::change::backup::Step;
use crate::change::plan::Plan;
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::engine::docker::Docker;
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;

/// Whether an upgrade writes a backup first, and where.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct BackupFirst {
    /// Repository directory for the backup that is written first; without it, that of the last
    /// backup
    #[arg(long, value_name = "DIR", conflicts_with = "no_backup")]
    backup_to: Option<PathBuf>,
    /// Skip the backup
    #[arg(long)]
    no_backup: bool,
    #[command(flatten)]
    password: RepositoryPassword,
}

/// A backup that is to be written first.
pub(in crate::cli) struct Planned {
    path: PathBuf,
    password: RepositoryPassword,
    pub plan: Plan<Step>,
}

impl BackupFirst {
    /// Plans the backup of what runs; none where it is not wanted, or where
    /// nobody said where to.
    pub(in crate::cli) async fn plan(
        &self,
        engine: &Docker,
        appliance: &Appliance,
        state: &State,
    ) -> Result<Option<Planned>, Failure> {
        if self.no_backup {
            return Ok(None);
        }
        let path = match &self.backup_to {
            Some(path) => Some(std::path::absolute(path)?),
            None => Records::load(appliance)?.backup.map(|one| one.repository),
        };
        // A release without stores is of an lfctl that made no backups.
        let is_given = self.backup_to.is_some();
        let Some(path) = path.filter(|_| is_given || !state.stack.stores.is_empty()) else {
            return Ok(None);
        };
        let job = Job {
            engine,
            appliance,
            state,
            path: &path,
        };
        let plan = job.plan().await?;
        let password = self.password.clone();
        Ok(Some(Planned {
            path,
            password,
            plan,
        }))
    }

    /// Says that there will be no backup, and refuses where one is the only
    /// way back.
    pub(in crate::cli) fn go_without(
        &self,
        context: &Context,
        change: SchemaChange,
    ) -> Result<(), Failure> {
        if self.no_backup {
            return Ok(());
        }
        if change == SchemaChange::Destructive {
            return Err(Failure::new(
                Kind::Blocked,
                "there is no backup, and nothing else leads back from this upgrade: the release before cannot work on what it leaves in the databases",
            )
            .hint("name a directory for a backup: `lfctl upgrade --offline BUNDLE --backup-to DIR`")
            .hint("or go on without one: `lfctl upgrade --offline BUNDLE --no-backup`"));
        }
        notice(
            context.reporter.as_ref(),
            Level::Warning,
            "upgrade.backup",
            "no backup is written first: this host knows of no repository for what runs, and `--backup-to DIR` names one",
        );
        Ok(())
    }
}

impl Planned {
    /// Writes it. Nothing of the upgrade was begun then.
    pub(in crate::cli) async fn write(
        &self,
        context: &Context,
        engine: &Docker,
        appliance: &Appliance,
        state: &State,
    ) -> Result<(), Failure> {
        let job = Job {
            engine,
            appliance,
            state,
            path: &self.path,
        };
        let written = job.write(context, &self.plan, &self.password);
        Box::pin(written).await.map_err(|failure| {
            failure.hint("the upgrade was not begun; `--no-backup` upgrades without a backup")
        })
    }
}
