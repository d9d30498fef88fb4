//! The command line: one `Args` and one `run` per command.
//!
//! People read stderr, programs read stdout. Prompts live here and nowhere
//! else, and never appear without a terminal.

pub mod accept;
pub mod args;
pub mod bundle;
mod changing;
pub mod completions;
pub mod doctor;
pub mod failure;
mod findings;
pub mod history;
pub mod install;
pub mod inventory;
pub mod key;
pub mod logs;
pub mod parts;
pub mod password;
mod place;
pub mod recover;
pub mod rollback;
#[cfg(test)]
mod schemas;
mod signal;
pub mod status;
mod survey;
pub mod trust;
pub mod uninstall;
mod update_check;
pub mod upgrade;
pub mod verify;
mod wizard;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::change::release;
use crate::engine::EngineTarget;
use crate::host::trust::TrustStore;
use crate::report::event::{Event, Reporter, SCHEMA, Silent};
use crate::report::human::{Human, Quiet};
use crate::report::json::JsonLines;
use crate::sys::paths::Paths;
use failure::{Failure, Kind};

/// Puts Langfuse onto hosts that have no internet, and keeps it well there.
#[derive(Debug, Parser)]
#[command(
    name = "lfctl",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub struct GlobalArgs {
    /// Write data to stdout as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but warnings and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Answer yes to every question
    #[arg(long, short = 'y', global = true)]
    yes: bool,
    /// Keep configuration, state and logs below DIR instead of below /
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Container engine: docker, podman or a local socket as `unix:///PATH`; without it, the first
    /// that answers
    #[arg(long, global = true, value_name = "ENGINE", env = "LFCTL_ENGINE")]
    engine: Option<EngineTarget>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, verify and look into bundles
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Make and show key pairs that sign bundles
    #[command(subcommand)]
    Key(key::Command),
    /// Decide whose bundles this host accepts
    #[command(subcommand)]
    Trust(trust::Command),
    /// Install Langfuse from a bundle, offline
    Install(Box<install::Args>),
    /// Replace the running release by that of a bundle, offline; goes back by itself if it fails
    Upgrade(Box<upgrade::Args>),
    /// Go back to the generation before
    Rollback(rollback::Args),
    /// Show what was installed, upgraded and rolled back
    History(history::Args),
    /// Finish or undo a change that broke off
    Recover(recover::Args),
    /// Write down which images this host has, for a smaller next bundle
    Inventory(inventory::Args),
    /// Check a bundle, or what runs of it
    Verify(verify::Args),
    /// Show what is installed and how it stands
    Status(status::Args),
    /// Check that the appliance is well and that nothing leaves it
    Doctor(doctor::Args),
    /// Show what a service wrote
    Logs(logs::Args),
    /// Take an appliance off this host; its data stays unless --purge is given
    Uninstall(uninstall::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(completions::ManArgs),
}

/// What every command needs to know of its surroundings.
pub struct Context {
    /// Where configuration, state and logs live.
    pub paths: Paths,
    /// Where events go.
    pub reporter: Box<dyn Reporter>,
    /// Data goes to stdout as JSON.
    pub json: bool,
    /// Questions are answered with yes.
    pub yes: bool,
    /// Which engine to drive.
    pub engine: EngineTarget,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("paths", &self.paths)
            .field("json", &self.json)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Context {
    fn new(global: GlobalArgs, streams: bool) -> Self {
        let reporter: Box<dyn Reporter> = match (global.json, global.quiet) {
            (true, _) if streams => Box::new(JsonLines),
            (true, _) => Box::new(Silent),
            (false, true) => Box::new(Quiet),
            (false, false) => Box::new(Human::default()),
        };
        Self {
            paths: paths(global.root),
            reporter,
            json: global.json,
            yes: global.yes,
            engine: global.engine.unwrap_or_default(),
        }
    }

    /// The keys of this host, and how many of their holders have to sign.
    fn trust_store(&self) -> Result<TrustStore, Failure> {
        Ok(release::trust_store(&self.paths)?)
    }

    /// Writes one document to stdout: `value` as JSON with `--json`, else
    /// `text`. A reader that went away is not a failure.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written for another reason, such as a full disk.
    pub fn print(&self, value: &impl serde::Serialize, text: &str) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string_pretty(value)
                .map_err(|error| Failure::from_error(Kind::Bug, &error))?
        } else {
            text.trim_end().to_owned()
        };
        write_stdout(&text)
    }

    /// As [`Context::print`], but as one event of a stream: the fields of
    /// `value` beside its name.
    ///
    /// # Errors
    ///
    /// As [`Context::print`].
    pub fn print_event(
        &self,
        event: &'static str,
        value: &impl serde::Serialize,
        text: &str,
    ) -> Result<(), Failure> {
        /// An event that only this command has.
        #[derive(serde::Serialize)]
        struct Line<'a, T> {
            event: &'static str,
            #[serde(flatten)]
            value: &'a T,
        }
        if !self.json {
            return write_stdout(text.trim_end());
        }
        let line = serde_json::to_string(&Line { event, value })
            .map_err(|error| Failure::from_error(Kind::Bug, &error))?;
        write_stdout(&line)
    }
}

fn write_stdout(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn paths(root: Option<PathBuf>) -> Paths {
    if let Some(root) = root {
        return Paths::below(&root);
    }
    if rustix::process::geteuid().is_root() {
        return Paths::below(std::path::Path::new("/"));
    }
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    Paths::xdg(&home, |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

impl Command {
    /// Name for events.
    fn name(&self) -> &'static str {
        match self {
            Self::Bundle(command) => command.name(),
            Self::Key(command) => command.name(),
            Self::Trust(command) => command.name(),
            Self::Install(_) => "install",
            Self::Upgrade(_) => "upgrade",
            Self::Rollback(_) => "rollback",
            Self::History(_) => "history",
            Self::Recover(_) => "recover",
            Self::Inventory(_) => "inventory",
            Self::Verify(_) => "verify",
            Self::Status(_) => "status",
            Self::Doctor(_) => "doctor",
            Self::Logs(_) => "logs",
            Self::Uninstall(_) => "uninstall",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// Whether `--json` means a stream of events; otherwise it is one document.
    fn streams(&self) -> bool {
        match self {
            Self::Bundle(command) => command.streams(),
            Self::Install(_) | Self::Upgrade(_) | Self::Rollback(_) | Self::Recover(_) => true,
            Self::Uninstall(args) => !args.is_dry_run(),
            Self::Key(_)
            | Self::Trust(_)
            | Self::Inventory(_)
            | Self::History(_)
            | Self::Verify(_)
            | Self::Status(_)
            | Self::Doctor(_)
            | Self::Logs(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Bundle(command) => command.run(context).await,
            Self::Key(command) => command.run(context),
            Self::Trust(command) => command.run(context),
            Self::Install(args) => Box::pin(args.run(context)).await,
            Self::Upgrade(args) => Box::pin(args.run(context)).await,
            Self::Rollback(args) => Box::pin(args.run(context)).await,
            Self::History(args) => args.run(context),
            Self::Recover(args) => Box::pin(args.run(context)).await,
            Self::Inventory(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Status(args) => args.run(context).await,
            Self::Doctor(args) => args.run(context).await,
            Self::Logs(args) => args.run(context).await,
            Self::Uninstall(args) => args.run(context).await,
            Self::Completions(args) => args.run(context),
            Self::Man(args) => args.run(context),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (name, streams) = (cli.command.name(), cli.command.streams());
    let context = Context::new(cli.global, streams);
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
        });
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
    use clap::CommandFactory;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }
}
