//! systemd units that keep an appliance: `recover` at boot, and timers for the
//! backup and for doctor.
//!
//! A backup unit asks for the password and the repository to be there: the
//! first backup is made by hand, because it shows the words once, and a disk
//! that is not mounted must not be taken for an empty repository.

mod files;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::EngineKind;
pub use files::{enable, remove};

/// How every unit of lfctl begins; only files that do are removed.
const MARK: &str = "# Written by `lfctl systemd print`";
/// By night, before people come.
const BACKUP_AT: &str = "*-*-* 02:30:00";
/// After the backup, before people come.
const DOCTOR_AT: &str = "*-*-* 06:00:00";

/// Whose systemd reads the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// That of the system.
    System,
    /// That of a user, as beside a rootless engine.
    User,
}

impl Manager {
    /// That which runs what this user installs.
    pub fn of_this_user() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::System
        } else {
            Self::User
        }
    }

    /// `systemctl` with the option that means it.
    pub fn systemctl(self) -> &'static str {
        match self {
            Self::System => "systemctl",
            Self::User => "systemctl --user",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::System => "multi-user.target",
            Self::User => "default.target",
        }
    }
}

/// A backup that is made every night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nightly {
    /// Directory of the repository.
    pub repository: PathBuf,
    /// File of the password that this host keeps.
    pub password: PathBuf,
}

/// What the units run, and after what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
    /// The lfctl to run.
    pub program: &'a Path,
    /// Options of every call, such as `--root` and its value.
    pub options: &'a [String],
    /// The engine to wait for.
    pub engine: EngineKind,
    /// Whose systemd it is.
    pub manager: Manager,
    /// The backup, where there is a repository.
    pub backup: Option<&'a Nightly>,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Name of its file.
    pub name: String,
    /// Content of its file.
    pub text: String,
}

impl Unit {
    /// Whether it is enabled; a service that a timer starts is not.
    pub fn is_enabled(&self) -> bool {
        self.text.contains("\n[Install]\n")
    }
}

/// A text that systemd does not take in a unit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{}` cannot stand in a systemd unit: {why}", text.escape_debug())]
pub struct UnitError {
    /// The text.
    pub text: String,
    /// Why.
    pub why: &'static str,
}

impl Schedule<'_> {
    /// The units, in the order of their names.
    ///
    /// # Errors
    ///
    /// A path that systemd does not take.
    pub fn units(&self) -> Result<Vec<Unit>, UnitError> {
        let mut units = Vec::new();
        // Both want the lock, and recovery comes first.
        let after = format!("After=lfctl-{}-recover.service\n", self.appliance);
        if let Some(backup) = self.backup {
            let repository = path_text(&backup.repository)?;
            let text = self.service(
                "Back up",
                &format!(
                    "{after}RequiresMountsFor={}\nAssertPathExists={}\nAssertPathExists={}\n",
                    quoted(&repository.replace('%', "%%"))?,
                    raw(&format!("{repository}/config"))?,
                    raw(path_text(&backup.password)?)?,
                ),
                &self.call(&["backup", "create", "--to", repository])?,
            );
            units.push(self.unit("backup.service", &text));
            units.push(self.timer("backup", "Back up", BACKUP_AT));
        }
        let text = self.service("Examine", &after, &self.call(&["doctor"])?);
        units.push(self.unit("doctor.service", &text));
        units.push(self.timer("doctor", "Examine", DOCTOR_AT));
        let mut text = self.service(
            "Finish or undo a broken-off change of",
            "",
            &self.call(&["recover"])?,
        );
        let _ = write!(text, "\n[Install]\nWantedBy={}\n", self.manager.target());
        units.push(self.unit("recover.service", &text));
        Ok(units)
    }

    fn service(&self, what: &str, more: &str, call: &str) -> String {
        let (wants, after) = match self.engine {
            EngineKind::Docker => ("docker.service", "docker.service"),
            EngineKind::Podman => ("podman.socket", "podman.socket podman-restart.service"),
        };
        // An engine of another socket is not started by the service of this name.
        let is_usual = !self.options.iter().any(|one| one.starts_with("unix://"));
        let wants = if is_usual {
            format!("Wants={wants}\n")
        } else {
            String::new()
        };
        let name = self.appliance;
        format!(
            "[Unit]\nDescription={what} appliance {name}\n{wants}After={after}\n{more}\n\
             [Service]\nType=oneshot\nExecStart={call}\n"
        )
    }

    fn timer(&self, name: &str, what: &str, at: &str) -> Unit {
        let text = format!(
            "[Unit]\nDescription={what} appliance {} every day\n\n\
             [Timer]\nOnCalendar={at}\nRandomizedDelaySec=15min\nPersistent=true\n\n\
             [Install]\nWantedBy=timers.target\n",
            self.appliance
        );
        self.unit(&format!("{name}.timer"), &text)
    }

    fn unit(&self, name: &str, text: &str) -> Unit {
        let name = format!("lfctl-{}-{name}", self.appliance);
        Unit {
            text: format!("{MARK}; change it with `systemctl edit {name}`\n\n{text}"),
            name,
        }
    }

    /// The line of `ExecStart=`.
    fn call(&self, words: &[&str]) -> Result<String, UnitError> {
        let program = path_text(self.program)?;
        if program.contains(['"', '\'', '\\']) {
            return Err(UnitError {
                text: program.to_owned(),
                why: "a program's path has no quotes and no backslashes there",
            });
        }
        let mut line = quoted(&program.replace('%', "%%"))?;
        let name = ["--name", self.appliance];
        let options = self.options.iter().map(String::as_str);
        for word in words.iter().copied().chain(name).chain(options) {
            line.push(' ');
            line.push_str(&quoted(&word.replace('%', "%%").replace('$', "$$"))?);
        }
        Ok(line)
    }
}

fn path_text(path: &Path) -> Result<&str, UnitError> {
    path.to_str().ok_or_else(|| UnitError {
        text: path.to_string_lossy().into_owned(),
        why: "it is not UTF-8",
    })
}

/// One line as it is, but for what systemd replaces in it.
fn raw(text: &str) -> Result<String, UnitError> {
    without_control(text)?;
    if text.ends_with([' ', '\\']) {
        return Err(UnitError {
            text: text.to_owned(),
            why: "it ends with a space or a backslash",
        });
    }
    Ok(text.replace('%', "%%"))
}

/// One word.
fn quoted(text: &str) -> Result<String, UnitError> {
    without_control(text)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._:=,+-%$".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{escaped}\""))
}

fn without_control(text: &str) -> Result<(), UnitError> {
    if text.chars().any(char::is_control) {
        return Err(UnitError {
            text: text.to_owned(),
            why: "it has a line break or another control character",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn shown(units: &[Unit]) -> String {
        let one = |unit: &Unit| format!("==> {}\n{}", unit.name, unit.text);
        units.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    fn plain() -> Nightly {
        Nightly {
            repository: "/mnt/backup".into(),
            password: "/var/lib/lfctl/langfuse/backup-password".into(),
        }
    }

    #[test]
    fn units_are_as_they_were_reviewed() {
        let (backup, options) = (plain(), options(&["--engine", "docker"]));
        let mut schedule = Schedule {
            appliance: "langfuse",
            program: Path::new("/usr/local/bin/lfctl"),
            options: &options,
            engine: EngineKind::Docker,
            manager: Manager::System,
            backup: Some(&backup),
        };
        insta::assert_snapshot!("docker", shown(&schedule.units().unwrap()));
        schedule.backup = None;
        schedule.engine = EngineKind::Podman;
        schedule.manager = Manager::User;
        insta::assert_snapshot!("podman-of-a-user", shown(&schedule.units().unwrap()));
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_quoted() {
        for (text, word) in [
            ("/opt/a", "/opt/a"),
            ("", "\"\""),
            ("/a b", "\"/a b\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            (";", "\";\""),
        ] {
            assert_eq!(quoted(text).unwrap(), word, "{text}");
        }
        let options = options(&["--root", "/srv/50% $HOME"]);
        let schedule = Schedule {
            appliance: "a",
            program: Path::new("/opt/100%/lfctl"),
            options: &options,
            engine: EngineKind::Docker,
            manager: Manager::System,
            backup: None,
        };
        let line = schedule.call(&["doctor"]).unwrap();
        let wanted = "/opt/100%%/lfctl doctor --name a --root \"/srv/50%% $$HOME\"";
        assert_eq!(line, wanted);
        for program in ["/opt/a\nb", "/opt/a'b"] {
            let bad = Schedule {
                program: Path::new(program),
                ..schedule.clone()
            };
            assert!(bad.units().is_err(), "{program:?}");
        }
        assert!(raw("/a ").is_err());
    }

    /// Writes them, and lets systemd say what is wrong with them.
    fn verified(schedule: &Schedule<'_>) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let units = schedule.units().unwrap();
        let write = |unit: &Unit| {
            let file = dir.path().join(&unit.name);
            fs_err::write(&file, &unit.text).unwrap();
            file
        };
        let files: Vec<_> = units.iter().map(write).collect();
        let output = std::process::Command::new("systemd-analyze")
            .arg("verify")
            .args(files)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_ours = said.lines().any(|line| line.contains("lfctl-"));
        (output.status.success() && !about_ours, said)
    }

    #[test]
    #[ignore = "needs systemd"]
    fn systemd_accepts_every_unit() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("a b 100% $X");
        fs_err::os::unix::fs::symlink("/bin/true", &program).unwrap();
        let backup = Nightly {
            repository: "/mnt/the \"best\" 50% \\ $HOME".into(),
            password: "/var/lib/x y/50%".into(),
        };
        let options = options(&["--root", "/srv/a b'\"%$\\", "--engine", "unix:///run/x y"]);
        let mut schedule = Schedule {
            appliance: "langfuse",
            program: &program,
            options: &options,
            engine: EngineKind::Docker,
            manager: Manager::System,
            backup: Some(&backup),
        };
        for engine in [EngineKind::Docker, EngineKind::Podman] {
            schedule.engine = engine;
            let (accepted, said) = verified(&schedule);
            assert!(accepted, "{said}");
        }
        // That it can say no.
        schedule.program = Path::new("/nonexistent/lfctl");
        assert!(!verified(&schedule).0);
    }
}
