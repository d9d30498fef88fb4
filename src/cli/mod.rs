//! The command line: one `Args` and one `run` per command.
//!
//! People read stderr, programs read stdout. Prompts live here and nowhere
//! else, and never appear without a terminal.

pub mod admission;
mod appliance_engine;
pub mod apply;
pub mod args;
pub mod audit;
pub mod backup;
pub mod bundle;
mod candidates;
mod changing;
pub mod completions;
mod context;
pub mod doctor;
pub mod egress;
pub mod failure;
mod findings;
pub mod help;
mod hint;
pub mod history;
pub mod install;
mod installed;
pub mod inventory;
pub mod key;
mod lab;
pub mod logs;
pub mod open;
pub mod password;
pub mod plan;
pub mod power;
mod prompt;
mod prove;
pub mod recover;
pub mod restore;
pub mod rollback;
#[cfg(test)]
mod schemas;
mod signal;
mod standing;
pub mod status;
pub mod support;
mod survey;
pub mod systemd;
pub mod trust;
mod unfinished;
pub mod uninstall;
mod update_check;
pub mod upgrade;
pub mod verify;
mod wizard;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::report::event::{Event, Reporter, SCHEMA};
use crate::report::json::JsonLines;
pub use context::{Context, GlobalArgs};
use failure::{Failure, Kind};
use hint::{Flags, Hints};
use power::Verb;

/// Installs and runs Langfuse on hosts without internet access.
#[derive(Debug, Parser)]
#[command(
    name = "lfctl",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, verify and inspect bundles
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Create and show key pairs that sign bundles
    #[command(subcommand)]
    Key(key::Command),
    /// Decide whose bundles this host accepts
    #[command(subcommand)]
    Trust(trust::Command),
    /// Install Langfuse from a bundle, offline
    Install(Box<install::Args>),
    /// Show the shortest chain of upgrades that bundles allow
    Plan(plan::Args),
    /// Upgrade to the release in a bundle, offline; rolls back by itself if it fails
    Upgrade(Box<upgrade::Args>),
    /// Go back to the previous generation
    Rollback(rollback::Args),
    /// Show what was installed, upgraded and rolled back
    History(history::Args),
    /// Finish or undo a change that was interrupted, and start what is down
    Recover(recover::Args),
    /// List the images of this host, so that the next bundle can leave them out
    Inventory(inventory::Args),
    /// Check a bundle, or that what runs comes from it
    Verify(verify::Args),
    /// Show what is installed and whether it runs
    Status(status::Args),
    /// Show what the appliance can reach
    #[command(subcommand)]
    Egress(egress::Command),
    /// Start services in order and wait until they are healthy
    Start(power::Args),
    /// Stop services in order; data is kept, and they stay stopped after a reboot
    Stop(power::Args),
    /// Stop services and start them again
    Restart(power::Args),
    /// Apply a changed site.toml or certificate; rolls back by itself if it fails
    Apply(apply::Args),
    /// Check that the appliance is healthy and that nothing leaves it
    Doctor(doctor::Args),
    /// Show the logs of services, in order of time
    Logs(logs::Args),
    /// Show who did what on this host, and check that no line of that log was changed
    #[command(subcommand)]
    Audit(audit::Command),
    /// Back up an appliance while it serves, into a repository that restic reads too
    #[command(subcommand)]
    Backup(backup::Command),
    /// Restore an appliance from a snapshot, on an empty or a broken host
    Restore(Box<restore::Args>),
    /// Collect what support needs in one file, without secrets
    SupportBundle(support::Args),
    /// Print systemd units: recovery at boot, a daily backup and a daily check
    #[command(subcommand)]
    Systemd(systemd::Command),
    /// Remove an appliance from this host; its data stays unless --purge is given
    Uninstall(uninstall::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page of a command
    Man(help::ManArgs),
    /// Print help on a command, or on a topic such as `site`
    Help(help::Args),
}

impl Command {
    /// Name for events.
    fn name(&self) -> &'static str {
        match self {
            Self::Bundle(command) => command.name(),
            Self::Key(command) => command.name(),
            Self::Trust(command) => command.name(),
            Self::Install(_) => "install",
            Self::Plan(_) => "plan",
            Self::Upgrade(_) => "upgrade",
            Self::Rollback(_) => "rollback",
            Self::History(_) => "history",
            Self::Recover(_) => "recover",
            Self::Inventory(_) => "inventory",
            Self::Verify(_) => "verify",
            Self::Status(_) => "status",
            Self::Egress(command) => command.name(),
            Self::Start(_) => Verb::Start.name(),
            Self::Stop(_) => Verb::Stop.name(),
            Self::Restart(_) => Verb::Restart.name(),
            Self::Apply(_) => "apply",
            Self::Doctor(_) => "doctor",
            Self::Logs(_) => "logs",
            Self::Audit(command) => command.name(),
            Self::Backup(command) => command.name(),
            Self::Restore(_) => "restore",
            Self::SupportBundle(_) => "support-bundle",
            Self::Systemd(command) => command.name(),
            Self::Uninstall(_) => "uninstall",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Help(_) => "help",
        }
    }

    /// Whether `--json` means a stream of events; otherwise it is one document.
    fn streams(&self) -> bool {
        match self {
            Self::Bundle(command) => command.streams(),
            Self::Backup(command) => command.streams(),
            Self::Install(_)
            | Self::Upgrade(_)
            | Self::Rollback(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Apply(_)
            | Self::Recover(_)
            | Self::Restore(_) => true,
            Self::Uninstall(args) => !args.is_dry_run(),
            Self::Logs(args) => args.is_following(),
            Self::Key(_)
            | Self::Trust(_)
            | Self::Plan(_)
            | Self::Inventory(_)
            | Self::History(_)
            | Self::Verify(_)
            | Self::Status(_)
            | Self::Egress(_)
            | Self::Doctor(_)
            | Self::SupportBundle(_)
            | Self::Systemd(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Help(_)
            | Self::Audit(_) => false,
        }
    }

    async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Bundle(command) => Box::pin(command.run(context)).await,
            Self::Key(command) => command.run(context),
            Self::Trust(command) => command.run(context),
            Self::Install(args) => Box::pin(args.run(context)).await,
            Self::Plan(args) => args.run(context),
            Self::Upgrade(args) => Box::pin(args.run(context)).await,
            Self::Rollback(args) => Box::pin(args.run(context)).await,
            Self::History(args) => args.run(context),
            Self::Recover(args) => Box::pin(args.run(context)).await,
            Self::Inventory(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Status(args) => args.run(context).await,
            Self::Egress(command) => command.run(context),
            Self::Start(args) => Box::pin(args.run(Verb::Start, context)).await,
            Self::Stop(args) => Box::pin(args.run(Verb::Stop, context)).await,
            Self::Restart(args) => Box::pin(args.run(Verb::Restart, context)).await,
            Self::Apply(args) => Box::pin(args.run(context)).await,
            Self::Doctor(args) => args.run(context).await,
            Self::Logs(args) => args.run(context).await,
            Self::Audit(command) => command.run(context),
            Self::Backup(command) => Box::pin(command.run(context)).await,
            Self::Restore(args) => Box::pin(args.run(context)).await,
            Self::SupportBundle(args) => Box::pin(args.run(context)).await,
            Self::Systemd(command) => command.run(context),
            Self::Uninstall(args) => args.run(context).await,
            Self::Completions(args) => args.run(context),
            Self::Man(args) => args.run(command_line(), context),
            Self::Help(args) => args.run(command_line(), context),
        }
    }
}

/// Every command, with what ends its `--help`.
fn command_line() -> clap::Command {
    help::explain(Cli::command())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    completions::answer(command_line);
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => match help::planned(&error) {
            Some(failure) => {
                failure.show();
                return ExitCode::from(failure.kind().exit_code());
            }
            None => error.exit(),
        },
    };
    let hints = Hints {
        flags: Flags::of(&matches),
        parser: Cli::command,
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let (name, streams) = (cli.command.name(), cli.command.streams());
    let context = Context::new(cli.global, streams, hints);
    if streams {
        context.reporter.event(&Event::Started {
            schema: SCHEMA,
            command: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
    }
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            block_on(cli.command.run(&context))
        }))
        .unwrap_or_else(|_| {
            Err(Failure::new(Kind::Bug, "lfctl met a state it does not know, which is a bug").hint(
            "run the command again; if it fails again, report the message above with the output \
             of `lfctl --version`",
        ))
        })
        .map_err(|failure| failure.with_flags(&context.hints));
    finish(&context, streams, &result)
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| {
            let result = runtime.block_on(work);
            // A question that hangs in the system, as on a dead network
            // filesystem, must not hold back the answer.
            runtime.shutdown_background();
            result
        })
}

fn finish(context: &Context, streams: bool, result: &Result<(), Failure>) -> ExitCode {
    let (code, report) = match result {
        Ok(()) => (0, None),
        Err(failure) => {
            failure.show();
            (failure.kind().exit_code(), Some(failure.report().clone()))
        }
    };
    // A document that shows the failure itself stays the only one on stdout.
    let shown = result.as_ref().is_err_and(Failure::is_shown);
    if context.json && (streams || (report.is_some() && !shown)) {
        JsonLines.event(&Event::Finished {
            exit_code: code,
            error: report,
        });
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }
}
