//! Options of every command, and what follows from them.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::failure::{Failure, Kind};
use super::hint::Hints;
use crate::change::release;
use crate::engine::EngineTarget;
use crate::host::trust::TrustStore;
use crate::report::event::{Reporter, Silent};
use crate::report::human::{Human, Quiet};
use crate::report::json::JsonLines;
use crate::sys::paths::Paths;

/// Where `--help` shows what every command takes.
const HEADING: &str = "Global options";

/// Options of every command.
#[derive(Debug, clap::Args)]
pub struct GlobalArgs {
    /// Write data to stdout as JSON
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
    /// Print only warnings and errors
    #[arg(long, short, global = true, help_heading = HEADING)]
    quiet: bool,
    /// Answer yes to every question
    #[arg(long, short = 'y', global = true, help_heading = HEADING)]
    yes: bool,
    /// Keep configuration, state and logs below DIR instead of below /
    #[arg(long, global = true, help_heading = HEADING, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Container engine: docker, podman or a local socket as `unix:///PATH`; without it, the first
    /// that answers
    #[arg(long, global = true, help_heading = HEADING, value_name = "ENGINE", env = "LFCTL_ENGINE", hide_env_values = true)]
    engine: Option<EngineTarget>,
}

/// What every command needs to know of its surroundings.
pub struct Context {
    /// Where configuration, state and logs live.
    pub paths: Paths,
    /// The directory that they live below, where one was named.
    pub root: Option<PathBuf>,
    /// Where events go.
    pub reporter: Box<dyn Reporter>,
    /// Data goes to stdout as JSON.
    pub json: bool,
    /// Questions are answered with yes.
    pub yes: bool,
    /// Which engine to drive.
    pub engine: EngineTarget,
    /// What the next command needs as well.
    pub(super) hints: Hints,
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
    pub(super) fn new(global: GlobalArgs, streams: bool, hints: Hints) -> Self {
        let reporter: Box<dyn Reporter> = match (global.json, global.quiet) {
            (true, _) if streams => Box::new(JsonLines),
            (true, _) => Box::new(Silent),
            (false, true) => Box::new(Quiet),
            (false, false) => Box::new(Human::default()),
        };
        Self {
            paths: paths(global.root.as_deref()),
            root: global.root,
            reporter,
            json: global.json,
            yes: global.yes,
            engine: global.engine.unwrap_or_default(),
            hints,
        }
    }

    /// Where nothing was found: the directory, and the `command` for what root
    /// has, if this is another user's place and root's is not empty.
    pub(super) fn looked_in(&self, dir: &Path, command: &str) -> String {
        let of_root = Paths::below(Path::new("/"));
        let has_files =
            |dir: &Path| fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some());
        let is_elsewhere = self.paths != of_root
            && (has_files(&of_root.trusted_keys()) || has_files(of_root.appliances()));
        looked_in(dir, is_elsewhere.then_some(command))
    }

    /// The keys of this host, and how many of their holders have to sign.
    pub(super) fn trust_store(&self) -> Result<TrustStore, Failure> {
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

fn looked_in(dir: &Path, for_root: Option<&str>) -> String {
    let looked = format!("looked in {}", dir.display());
    match for_root {
        Some(command) => format!("{looked}\nhint: what root has is shown by `sudo {command}`"),
        None => looked,
    }
}

fn write_stdout(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Where configuration, state and logs live.
pub(super) fn paths(root: Option<&Path>) -> Paths {
    if let Some(root) = root {
        return Paths::below(root);
    }
    if rustix::process::geteuid().is_root() {
        return Paths::below(Path::new("/"));
    }
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    Paths::xdg(&home, |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_found_says_where_it_looked_and_what_root_has() {
        let dir = Path::new("/home/op/.local/state/lfctl");
        let looked = "looked in /home/op/.local/state/lfctl";
        assert_eq!(looked_in(dir, None), looked);
        let hint = "\nhint: what root has is shown by `sudo lfctl status`";
        let shown = looked_in(dir, Some("lfctl status"));
        assert_eq!(shown.strip_prefix(looked), Some(hint));
    }
}
