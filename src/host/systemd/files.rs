//! Unit files on disk, and what systemd is told of them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use super::{MARK, Manager, Unit};
use crate::sys::fs::sync_dir;

/// Present where systemd runs the host.
const RUNS: &str = "/run/systemd/system";

/// The commands that make systemd read the units and act on them.
pub fn enable(manager: Manager, units: &[Unit]) -> String {
    let enabled = units.iter().filter(|unit| unit.is_enabled());
    let names: Vec<_> = enabled.map(|unit| unit.name.as_str()).collect();
    let systemctl = manager.systemctl();
    format!(
        "{systemctl} daemon-reload && {systemctl} enable --now {}",
        names.join(" ")
    )
}

/// Removes unit files of lfctl and the links that enable them, and lets a
/// running systemd forget them. A file that somebody else wrote stays.
///
/// Returns the files that stay, and whether systemd still knows the others.
///
/// # Errors
///
/// A file cannot be removed.
pub fn remove(manager: Manager, files: &[PathBuf]) -> io::Result<(Vec<PathBuf>, bool)> {
    let mut ours = Vec::new();
    let mut kept = Vec::new();
    for file in files {
        match fs::read_to_string(file) {
            Ok(text) if text.starts_with(MARK) => ours.push(file),
            Ok(_) => kept.push(file.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let names: Vec<_> = ours.iter().filter_map(|file| name(file)).collect();
    let runs = !names.is_empty() && Path::new(RUNS).is_dir();
    let stopped = !runs || told(manager, &[&["disable", "--now"][..], &names].concat());
    for file in ours {
        remove_links(file)?;
        fs::remove_file(file)?;
        if let Some(dir) = file.parent() {
            sync_dir(dir)?;
        }
    }
    let forgot = !runs || told(manager, &["daemon-reload"]);
    Ok((kept, !(stopped && forgot)))
}

fn name(file: &Path) -> Option<&str> {
    file.file_name()?.to_str()
}

/// Removes what enables a unit: links of its name in directories of wants
/// beside it.
fn remove_links(file: &Path) -> io::Result<()> {
    let (Some(dir), Some(name)) = (file.parent(), name(file)) else {
        return Ok(());
    };
    for entry in fs::read_dir(dir)? {
        let wants = entry?.path();
        let link = wants.join(name);
        if wants.extension().is_some_and(|end| end == "wants") && link.is_symlink() {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

fn told(manager: Manager, words: &[&str]) -> bool {
    let mut line = manager.systemctl().split(' ');
    let Some(program) = line.next() else {
        return false;
    };
    let output = Command::new(program).args(line).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_lfctl_go_and_their_links_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("lfctl-a-recover.service"), format!("{MARK}\n")).unwrap();
        fs::write(at("lfctl-a-doctor.timer"), "[Timer]\n").unwrap();
        fs::create_dir(at("multi-user.target.wants")).unwrap();
        let link = at("multi-user.target.wants/lfctl-a-recover.service");
        fs::os::unix::fs::symlink(at("lfctl-a-recover.service"), &link).unwrap();
        let other = at("multi-user.target.wants/ssh.service");
        fs::os::unix::fs::symlink("/nonexistent/ssh.service", &other).unwrap();

        let gone = at("gone.service");
        let files = [
            at("lfctl-a-recover.service"),
            at("lfctl-a-doctor.timer"),
            gone,
        ];
        let (kept, _) = remove(Manager::System, &files).unwrap();
        assert_eq!(kept, [at("lfctl-a-doctor.timer")]);
        assert!(!at("lfctl-a-recover.service").exists());
        assert!(!link.is_symlink() && other.is_symlink());
    }

    #[test]
    fn what_timers_start_is_not_enabled_itself() {
        let unit = |name: &str, text: &str| Unit {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let units = [
            unit("a.service", "[Unit]\n\n[Service]\n"),
            unit("a.timer", "[Unit]\n\n[Install]\n"),
        ];
        assert_eq!(
            enable(Manager::User, &units),
            "systemctl --user daemon-reload && systemctl --user enable --now a.timer"
        );
    }
}
