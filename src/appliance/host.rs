//! What concerns the whole host: its log, and the lock over every file that
//! all appliances share.
//!
//! The trust store, `releases.json` and this log are each read, changed and
//! written as a whole. Invariant: who writes one of them holds the lock, and
//! has read it since.

use std::io;
use std::time::{Duration, Instant};

use super::ApplianceError;
use super::audit::{self, Deed};
use super::lock::Lock;
use super::releases::{Releases, ReleasesError};
use crate::bundle::manifest::Release;
use crate::oci::digest::Digest;
use crate::sys::paths::Paths;

/// No name of an appliance begins so.
const HOST: &str = "_host";
/// Many times what any holder needs.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// The right to change what concerns the whole host, until it is dropped.
#[derive(Debug)]
pub struct Host<'a> {
    paths: &'a Paths,
    _lock: Lock,
}

impl<'a> Host<'a> {
    /// Waits a moment for others, who are done soon.
    ///
    /// # Errors
    ///
    /// Another process keeps the lock.
    pub fn lock(paths: &'a Paths) -> Result<Self, ApplianceError> {
        Self::lock_within(paths, PATIENCE)
    }

    fn lock_within(paths: &'a Paths, patience: Duration) -> Result<Self, ApplianceError> {
        let path = paths.appliances().join(format!("{HOST}.lock"));
        let begun = Instant::now();
        loop {
            match Lock::take(&path, 0o600)? {
                Ok(lock) => return Ok(Self { paths, _lock: lock }),
                Err(_) if begun.elapsed() < patience => std::thread::sleep(POLL),
                Err(holder) => return Err(ApplianceError::HostLocked { holder }),
            }
        }
    }

    /// Writes a line to the log of the host.
    pub fn audit(&self, deed: Deed) -> io::Result<()> {
        audit::append(&self.paths.audit_log(HOST), deed)
    }

    /// Writes down that this release was taken, unless a higher one was.
    pub fn record(&self, release: &Release, bundle: Digest) -> Result<(), ReleasesError> {
        Releases::record(&self.paths.releases(), release, bundle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn one_waits_for_the_other_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        let held = Host::lock(&paths).unwrap();
        let error = Host::lock_within(&paths, POLL).unwrap_err();
        let holder = std::process::id().to_string();
        assert!(error.to_string().contains(&holder), "{error}");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| Host::lock(&paths).map(drop));
            std::thread::sleep(3 * POLL);
            assert!(!other.is_finished());
            drop(held);
            other.join().unwrap().unwrap();
        });
    }

    #[test]
    fn no_appliance_has_the_lock_of_the_host() {
        let paths = Paths::below(Path::new("/nowhere"));
        assert!(super::super::Appliance::named(&paths, HOST).is_err());
    }
}
