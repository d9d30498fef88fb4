//! `lfctl backup`: snapshots of an appliance.

pub(super) mod before_upgrade;
mod create;
mod drill;
mod list;
mod prune;
pub(super) mod repository;
mod verify;

#[cfg(test)]
pub(super) use list::Row;
#[cfg(test)]
pub(super) use verify::Shown as Verified;

use super::Context;
use super::failure::Failure;

/// Subcommands of `lfctl backup`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Back up everything while the appliance serves
    Create(create::Args),
    /// Show the snapshots of a repository
    List(list::Args),
    /// Read every byte of a repository again and compare it with its hash
    Verify(verify::Args),
    /// Restore a snapshot beside what runs, prove it, and remove the copy
    Drill(drill::Args),
    /// Remove the snapshots that no rule keeps
    Prune(prune::Args),
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "backup create",
            Self::List(_) => "backup list",
            Self::Verify(_) => "backup verify",
            Self::Drill(_) => "backup drill",
            Self::Prune(_) => "backup prune",
        }
    }

    /// Whether `--json` means a stream of events.
    pub(super) fn streams(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Drill(_))
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(args) => args.run(context).await,
            Self::List(args) => args.run(context),
            Self::Verify(args) => args.run(context),
            Self::Drill(args) => Box::pin(args.run(context)).await,
            Self::Prune(args) => args.run(context),
        }
    }
}
