//! Locks as restic keeps them, so that a stock `restic prune` and we do not
//! step on each other: one encrypted file in `locks/` for each program at work,
//! refreshed every five minutes, stale after thirty or when its process is gone.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cipher::{Cipher, hash};
use super::directory::Directory;
use super::error::{RepositoryError, Result};

/// How often a lock is written anew.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// Age at which a lock counts no longer.
const STALE: Duration = Duration::from_secs(30 * 60);
/// Time for a lock that was written at the same moment to be seen.
const SETTLE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 200 });

/// Whether others may read and add meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Others may read and add, but not remove.
    Shared,
    /// Nobody else at all.
    Exclusive,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    time: Timestamp,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
}

/// A held lock. Its file goes with the value.
#[derive(Debug)]
pub(super) struct Lock {
    stop: Option<mpsc::Sender<()>>,
    refresher: Option<JoinHandle<()>>,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Locked`] if another lock stands against it.
    pub(super) fn acquire(
        directory: &Directory,
        cipher: &Cipher,
        sharing: Sharing,
    ) -> Result<Self> {
        let keeper = Keeper {
            directory: directory.clone(),
            cipher: cipher.clone(),
            exclusive: sharing == Sharing::Exclusive,
        };
        keeper.check_others(None)?;
        let own = keeper.write()?;
        std::thread::sleep(SETTLE);
        if let Err(error) = keeper.check_others(Some(&own)) {
            directory.delete(&own)?;
            return Err(error);
        }
        let (stop, stopped) = mpsc::channel();
        let refresher = std::thread::spawn(move || keeper.keep(own, &stopped));
        Ok(Self {
            stop: Some(stop),
            refresher: Some(refresher),
        })
    }

    /// As [`Lock::acquire`], for readers: a medium that cannot be written can
    /// be read without a lock, since nobody can remove anything from it.
    pub(super) fn acquire_for_reading(
        directory: &Directory,
        cipher: &Cipher,
    ) -> Result<Option<Self>> {
        match Self::acquire(directory, cipher, Sharing::Shared) {
            Ok(lock) => Ok(Some(lock)),
            Err(RepositoryError::ReadOnly(_) | RepositoryError::Full(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(refresher) = self.refresher.take() {
            let _ = refresher.join();
        }
    }
}

struct Keeper {
    directory: Directory,
    cipher: Cipher,
    exclusive: bool,
}

impl Keeper {
    fn write(&self) -> Result<PathBuf> {
        let document = Document {
            time: Timestamp::now(),
            exclusive: self.exclusive,
            hostname: hostname(),
            username: "root".to_owned(),
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        let plain = serde_json::to_vec(&document)
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        let sealed = self.cipher.seal(&plain)?;
        let path = self.directory.locks().join(hex::encode(hash(&sealed)));
        self.directory.write(&path, [sealed.as_slice()])?;
        Ok(path)
    }

    /// Fails if a lock other than `own` stands against ours; removes stale ones.
    fn check_others(&self, own: Option<&PathBuf>) -> Result<()> {
        let locks = self.directory.locks();
        for name in self.directory.names(&locks)? {
            let path = locks.join(name);
            if own == Some(&path) || path.extension().is_some() {
                continue;
            }
            let sealed = match self.directory.read(&path) {
                Ok(sealed) => sealed,
                // Removed since it was listed.
                Err(_) if !path.exists() => continue,
                Err(error) => return Err(error),
            };
            let other: Document = self
                .cipher
                .open_file(&sealed)
                .and_then(|plain| serde_json::from_slice(&plain).ok())
                .ok_or_else(|| RepositoryError::Damaged {
                    path: path.clone(),
                    what: "it is not a lock of this repository".to_owned(),
                })?;
            if other.is_stale() {
                // On a medium that cannot be written it hinders nobody either.
                let _ = self.directory.delete(&path);
            } else if other.exclusive || self.exclusive {
                return Err(RepositoryError::Locked {
                    path,
                    holder: format!(
                        "{}@{}, process {}",
                        other.username, other.hostname, other.pid
                    ),
                    since: other.time.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Refreshes the lock until told to stop, then removes it.
    fn keep(self, mut own: PathBuf, stopped: &mpsc::Receiver<()>) {
        while stopped.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
            // A refresh that fails is tried again; the old file stands until then.
            if let Ok(next) = self.write() {
                let _ = self.directory.delete(&own);
                own = next;
            }
        }
        let _ = self.directory.delete(&own);
    }
}

impl Document {
    fn is_stale(&self) -> bool {
        let age = Timestamp::now().duration_since(self.time);
        if age.unsigned_abs() > STALE && age.is_positive() {
            return true;
        }
        let is_here = self.hostname == hostname();
        is_here && self.pid != 0 && !std::path::Path::new(&format!("/proc/{}", self.pid)).exists()
    }
}

fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(age: i64, pid: u32, hostname: String) -> Document {
        Document {
            time: Timestamp::now() - jiff::SignedDuration::from_secs(age),
            exclusive: true,
            hostname,
            username: "root".to_owned(),
            pid,
            uid: 0,
            gid: 0,
        }
    }

    #[test]
    fn age_or_a_dead_process_make_a_lock_stale() {
        let own = std::process::id();
        assert!(!document(60, own, hostname()).is_stale());
        assert!(document(31 * 60, own, hostname()).is_stale());
        assert!(!document(60, 0, "elsewhere".to_owned()).is_stale());
        assert!(!document(60, u32::MAX, "elsewhere".to_owned()).is_stale());
        assert!(document(60, u32::MAX, hostname()).is_stale());
        // A clock that is behind makes no lock stale.
        assert!(!document(-3600, own, hostname()).is_stale());
    }
}
