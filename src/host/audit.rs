//! `audit.jsonl`: who ran what, when, with which bundle and key, and how it
//! ended. Each line holds the hash of the line before it, so that a line
//! taken out or changed later shows.

use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::sys::fs::{directory, make_dirs, sync_dir};

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// When the command ended.
    pub at: Timestamp,
    /// Login name, and the name behind `sudo` where there is one.
    pub who: String,
    /// The command, such as `install`.
    pub command: String,
    /// Digest of the bundle's `index.json`, where one was used.
    pub bundle: Option<Digest>,
    /// Key that signed it; `none` when the signature was skipped.
    pub key: Option<String>,
    /// `done` or the failure in one line.
    pub result: String,
    /// Digest of the line before, without its newline.
    pub previous: Option<Digest>,
}

/// What a caller knows of an entry.
#[derive(Debug, Clone, Default)]
pub struct Deed {
    /// See [`AuditEntry::command`].
    pub command: String,
    /// See [`AuditEntry::bundle`].
    pub bundle: Option<Digest>,
    /// See [`AuditEntry::key`].
    pub key: Option<String>,
    /// See [`AuditEntry::result`].
    pub result: String,
}

/// Appends an entry to the log at `path` and waits until it is on disk.
pub fn append(path: &Path, deed: Deed) -> io::Result<()> {
    let dir = directory(path)?;
    make_dirs(dir)?;
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let entry = AuditEntry {
        at: Timestamp::now(),
        who: who(),
        command: deed.command,
        bundle: deed.bundle,
        key: deed.key,
        result: deed.result,
        previous: text.lines().last().map(|line| Digest::of(line.as_bytes())),
    };
    let mut line = serde_json::to_string(&entry)?;
    if !text.is_empty() && !text.ends_with('\n') {
        line.insert(0, '\n');
    }
    line.push('\n');
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    if text.is_empty() {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Number of the first line (from 1) that does not follow from the one
/// before, or `None` when the chain holds.
pub fn first_break(text: &str) -> Option<usize> {
    let mut previous = None;
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str::<AuditEntry>(line) {
            Ok(entry) if entry.previous == previous => {}
            _ => return Some(index + 1),
        }
        previous = Some(Digest::of(line.as_bytes()));
    }
    None
}

fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let login = std::env::var("USER").unwrap_or_else(|_| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(behind) if behind != login => format!("{login} (sudo by {behind})"),
        _ => login,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_line_breaks_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/audit.jsonl");
        for command in ["install", "upgrade", "doctor"] {
            let deed = Deed {
                command: command.to_owned(),
                result: "done".to_owned(),
                ..Deed::default()
            };
            append(&path, deed).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(first_break(&text), None);
        assert_eq!(first_break(&text.replace("upgrade", "nothing")), Some(3));
        let without: Vec<_> = text.lines().filter(|l| !l.contains("upgrade")).collect();
        assert_eq!(first_break(&without.join("\n")), Some(2));
    }
}
