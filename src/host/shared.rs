//! What concerns the whole host: its log, and the lock over every file that
//! all appliances share.
//!
//! The trust store, `releases.json` and this log are each read, changed and
//! written as a whole. Invariant: who writes one of them holds the lock, and
//! has read it since.

use std::io;
use std::time::{Duration, Instant};

use super::audit::{self, AuditLog, NewEntry};
use super::lock::Lock;
use super::releases::{Releases, ReleasesError};
use crate::oci::digest::Digest;
use crate::stack::release::Release;
use crate::sys::paths::Paths;

/// No name of an appliance begins so.
pub const HOST: &str = "_host";
/// Many times what any holder needs.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// What can go wrong with the files of the whole host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process changes what concerns the whole host.
    #[error("another lfctl is changing what this host trusts and remembers (process {holder})")]
    Locked {
        /// Process id of the holder, as far as known.
        holder: String,
    },
}

/// The right to change what concerns the whole host, until it is dropped.
#[derive(Debug)]
pub struct HostLock<'a> {
    paths: &'a Paths,
    _lock: Lock,
}

impl<'a> HostLock<'a> {
    /// Waits a moment for others, who are done soon.
    ///
    /// # Errors
    ///
    /// Another process keeps the lock.
    pub fn lock(paths: &'a Paths) -> Result<Self, HostError> {
        Self::lock_within(paths, LOCK_TIMEOUT)
    }

    fn lock_within(paths: &'a Paths, timeout: Duration) -> Result<Self, HostError> {
        let path = paths.appliances().join(format!("{HOST}.lock"));
        let begun = Instant::now();
        loop {
            match Lock::acquire(&path)? {
                Ok(lock) => return Ok(Self { paths, _lock: lock }),
                Err(_) if begun.elapsed() < timeout => std::thread::sleep(POLL),
                Err(holder) => return Err(HostError::Locked { holder }),
            }
        }
    }

    /// Writes a line to the log of the host.
    pub fn audit(&self, entry: NewEntry) -> io::Result<()> {
        audit::append(&AuditLog::of(self.paths, HOST), entry)
    }

    /// Writes down that this release was taken, unless a higher one was.
    pub fn record(&self, release: &Release, bundle: Digest) -> Result<(), ReleasesError> {
        Releases::record(&self.paths.releases(), release, bundle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_waits_for_the_other_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        let held = HostLock::lock(&paths).unwrap();
        let error = HostLock::lock_within(&paths, POLL).unwrap_err();
        let holder = std::process::id().to_string();
        assert!(error.to_string().contains(&holder), "{error}");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| HostLock::lock(&paths).map(drop));
            std::thread::sleep(3 * POLL);
            assert!(!other.is_finished());
            drop(held);
            other.join().unwrap().unwrap();
        });
    }
}
