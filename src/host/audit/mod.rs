//! `audit.jsonl`: who ran what, when, with which bundle and key, and how it
//! ended.
//!
//! Each line holds the hash of the line before it, so that a line that is
//! changed or taken out later shows. The number of lines and the hash of the
//! last one are kept with the state too, so that a log that was cut at its end
//! shows as well. Root can rewrite both: copy the head to another host, with
//! `lfctl audit verify`, where that matters.

mod chain;
mod entry;
mod who;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use jiff::Timestamp;
use rustix::fs::OFlags;

use crate::oci::digest::Digest;
use crate::sys::fs::{directory, make_dirs, read_optional, sync_dir, write_atomically};
use crate::sys::paths::Paths;

pub use chain::{Chain, Problem};
pub use entry::AuditEntry;
use entry::Head;

/// Bytes of the longest log: millions of lines.
const LIMIT: u64 = 1 << 30;

/// An entry as its writer gives it; the log adds when, who and the hash.
#[derive(Debug, Clone, Default)]
pub struct NewEntry {
    /// See [`AuditEntry::command`].
    pub command: String,
    /// See [`AuditEntry::bundle`].
    pub bundle: Option<Digest>,
    /// See [`AuditEntry::key`].
    pub key: Option<String>,
    /// See [`AuditEntry::result`].
    pub result: String,
}

/// The log of an appliance or of the host, and where its head is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLog {
    file: PathBuf,
    head: PathBuf,
}

impl AuditLog {
    /// The log of an appliance, or that of [`crate::host::HOST`].
    pub fn of(paths: &Paths, name: &str) -> Self {
        Self {
            file: paths.audit_log(name),
            head: paths.appliances().join(format!("{name}.audit.json")),
        }
    }

    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Reads the log and walks its chain.
    ///
    /// # Errors
    ///
    /// A file is there and cannot be read.
    pub fn read(&self) -> io::Result<Chain> {
        let head = read_optional(&self.head, LIMIT)?;
        let head = head.map(|text| serde_json::from_slice::<Head>(&text));
        let text = read_optional(&self.file, LIMIT)?;
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Chain::walk(&text.unwrap_or_default(), head.as_ref()))
    }
}

/// Appends an entry to the log and waits until it is on disk.
pub fn append(log: &AuditLog, new: NewEntry) -> io::Result<()> {
    let dir = directory(&log.file)?;
    make_dirs(dir)?;
    let text = read_optional(&log.file, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().rposition(|line| is_entry(line));
    let is_torn = !text.is_empty() && !text.ends_with('\n');
    let torn = is_torn.then(|| lines[last.map_or(0, |last| last + 1)..].join("\n"));
    let (who, environment) = who::who();
    let entry = AuditEntry {
        at: Timestamp::now(),
        who,
        environment,
        command: new.command,
        bundle: new.bundle,
        key: new.key,
        result: new.result,
        previous: last.map(|last| Digest::of(lines[last].as_bytes())),
        torn: torn.as_ref().map(|text| Digest::of(text.as_bytes())),
    };
    let line = serde_json::to_string(&entry)?;
    let before = if is_torn { "\n" } else { "" };
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(&log.file)?;
    file.write_all(format!("{before}{line}\n").as_bytes())?;
    file.sync_data()?;
    if text.is_empty() {
        sync_dir(dir)?;
    }
    let head = Head {
        lines: lines.len() + 1,
        last: Digest::of(line.as_bytes()),
    };
    make_dirs(directory(&log.head)?)?;
    write_atomically(&log.head, &serde_json::to_vec(&head)?, 0o600)
}

fn is_entry(line: &str) -> bool {
    serde_json::from_str::<AuditEntry>(line).is_ok()
}

#[cfg(test)]
mod tests;
