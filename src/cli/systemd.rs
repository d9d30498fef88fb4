//! `lfctl systemd`: units that keep an appliance.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::installed::installed;
use crate::appliance::Appliance;
use crate::appliance::backup::Records;
use crate::engine::{EngineKind, EngineTarget};
use crate::host::audit::{self, NewEntry};
use crate::host::systemd::{self, Manager, Nightly, Schedule, Unit};
use crate::report::event::{Level, notice};
use crate::sys::fs::write_atomically;

/// Subcommands of `lfctl systemd`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print units for recovery at boot, a daily backup and a daily check
    Print(PrintArgs),
}

/// Arguments of `lfctl systemd print`.
#[derive(Debug, clap::Args)]
pub struct PrintArgs {
    #[command(flatten)]
    name: NameArg,
    /// Write them into DIR instead of printing them, such as `/etc/systemd/system`
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Back up into the repository in DIR; without it, into that of the last backup of this host
    #[arg(long, value_name = "DIR")]
    backup_to: Option<PathBuf>,
}

/// Units, and where they were written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Printed {
    /// Name of the appliance.
    name: String,
    /// Directory that they were written into; none if they were only printed.
    directory: Option<PathBuf>,
    /// The units, in the order of their names.
    units: Vec<Unit>,
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Print(_) => "systemd print",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::Print(args) = self;
        args.run(context)
    }
}

impl PrintArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let state = installed(&appliance)?;
        let manager = Manager::of_this_user();
        let nightly = self.nightly(&appliance)?;
        let options = options(context, state.engine)?;
        let units = Schedule {
            appliance: appliance.name(),
            program: &fs_err::canonicalize(std::env::current_exe()?)?,
            options: &options,
            engine: state.engine,
            manager,
            backup: nightly.as_ref(),
        }
        .units()
        .map_err(|error| Failure::from_error(Kind::Usage, &error))?;
        if nightly.is_none() {
            say(
                context,
                Level::Warning,
                "systemd.no-backup",
                "no unit makes backups, because this host has made none yet: run \
                 `lfctl backup create --to DIR` once, then this command again",
            );
        }
        let directory = self.to.as_deref().map(std::path::absolute).transpose()?;
        if let Some(directory) = &directory {
            lay_down(&appliance, directory, &units)?;
            let text = format!(
                "{} units written; to use them: `{}`",
                units.len(),
                systemd::enable(manager, &units)
            );
            say(context, Level::Info, "systemd.written", text);
        }
        let text = match &directory {
            Some(directory) => {
                let shown = paths(directory, &units).map(|path| path.display().to_string());
                shown.collect::<Vec<_>>().join("\n")
            }
            None => text(&units),
        };
        let printed = Printed {
            name: appliance.name().to_owned(),
            directory,
            units,
        };
        context.print(&printed, &text)
    }

    /// The backup to make; none while there is no repository.
    fn nightly(&self, appliance: &Appliance) -> Result<Option<Nightly>, Failure> {
        let last = Records::load(appliance)?.backup.map(|one| one.repository);
        let named = self.backup_to.as_deref().map(std::path::absolute);
        let repository = named.transpose()?.or(last);
        Ok(repository.map(|repository| Nightly {
            repository,
            password: appliance.backup_password_path(),
        }))
    }
}

/// The options that a call at boot needs to mean this appliance.
fn options(context: &Context, kind: EngineKind) -> Result<Vec<String>, Failure> {
    let mut options = Vec::new();
    if let Some(root) = &context.root {
        let root = std::path::absolute(root)?;
        let text = root.to_str().ok_or_else(|| {
            let message = format!("`{}` is not UTF-8, and systemd wants that", root.display());
            Failure::new(Kind::Usage, message)
        })?;
        options.extend(["--root".to_owned(), text.to_owned()]);
    }
    // At boot, the first engine that answers may be another one.
    let engine = match &context.engine {
        EngineTarget::Auto => kind.to_string(),
        named => named.to_string(),
    };
    options.extend(["--engine".to_owned(), engine]);
    Ok(options)
}

fn paths<'a>(directory: &'a Path, units: &'a [Unit]) -> impl Iterator<Item = PathBuf> + 'a {
    units.iter().map(|unit| directory.join(&unit.name))
}

/// Writes the units, and remembers them for an uninstall.
fn lay_down(appliance: &Appliance, directory: &Path, units: &[Unit]) -> Result<(), Failure> {
    let _lock = appliance.lock()?;
    // Remembered first: a file that is not on record would never be removed.
    appliance.add_units(paths(directory, units))?;
    for (path, unit) in paths(directory, units).zip(units) {
        write_atomically(&path, unit.text.as_bytes(), 0o644)?;
    }
    let entry = NewEntry {
        command: "systemd print --to".to_owned(),
        result: "done".to_owned(),
        ..NewEntry::default()
    };
    Ok(audit::append(&appliance.audit_log(), entry)?)
}

fn text(units: &[Unit]) -> String {
    let one = |unit: &Unit| format!("# ---- {}\n{}", unit.name, unit.text);
    units.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn say(context: &Context, level: Level, code: &str, text: impl Into<String>) {
    notice(context.reporter.as_ref(), level, code, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::paths::Paths;

    #[test]
    fn what_is_laid_down_is_remembered_and_audited() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        let units = ["a.service", "a.timer"].map(|name| Unit {
            name: name.to_owned(),
            text: "# Written\n".to_owned(),
        });
        let target = dir.path().join("units");
        lay_down(&appliance, &target, &units).unwrap();
        let written: Vec<_> = paths(&target, &units).collect();
        assert!(written.iter().all(|path| path.is_file()));
        assert_eq!(appliance.units().unwrap(), written);
        let log = fs_err::read_to_string(Paths::below(dir.path()).audit_log("a")).unwrap();
        assert!(log.contains("systemd print --to"), "{log}");
    }
}
