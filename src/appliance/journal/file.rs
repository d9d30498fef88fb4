//! The journal as a file.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::JournalError;
use super::format::{self, whole_lines};
use super::record::{Entry, Record, SCHEMA};
use super::unfinished::{Unfinished, unfinished};
use crate::sys::fs::{make_dirs, open_own, read_own, sync_dir};

/// Bytes of the longest journal: millions of lines.
const LIMIT: u64 = 1 << 30;

/// The journal of an appliance.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(super) path: PathBuf,
}

impl Journal {
    /// The journal at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line of `run` and waits until it is on disk. Half a line that
    /// a power cut left at the end goes first.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn append(&self, run: &str, what: Record) -> io::Result<()> {
        let dir = self
            .path
            .parent()
            .ok_or_else(|| io::Error::other("the journal has no directory"))?;
        make_dirs(dir)?;
        let is_new = !self.path.exists();
        let mut file = open_own(&self.path, Some(0o600))?;
        let whole = whole_lines(&read_own(&self.path, LIMIT)?);
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        let entry = Entry {
            schema: SCHEMA,
            run: run.to_owned(),
            at: Timestamp::now(),
            what,
        };
        let mut line = serde_json::to_string(&entry)?;
        line.push('\n');
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if is_new {
            sync_dir(dir)?;
        }
        Ok(())
    }

    /// All lines.
    ///
    /// # Errors
    ///
    /// See [`JournalError`].
    pub fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        match read_own(&self.path, LIMIT) {
            Ok(bytes) => format::parse(&bytes, &self.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The last run, if it did not reach its goal.
    ///
    /// # Errors
    ///
    /// See [`JournalError`].
    pub fn unfinished(&self) -> Result<Option<Unfinished>, JournalError> {
        Ok(unfinished(&self.entries()?))
    }
}

/// A new name for a run: 16 hex digits.
///
/// # Errors
///
/// The operating system gave no random bytes.
pub fn new_run() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}
