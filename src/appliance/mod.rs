//! An appliance on disk: what is installed, how far a change got, who may
//! change it now, and what was done.
//!
//! ```text
//! /etc/lfctl/<name>/site.toml            what the operator decided
//! /var/lib/lfctl/<name>/state.json       what is installed; written last
//! /var/lib/lfctl/<name>/journal.jsonl    one line per step begin and end, fsynced
//! /var/lib/lfctl/<name>/secrets.toml     0600, generated once
//! /var/lib/lfctl/<name>/generations/<n>/ what was committed: record, stack, site.toml, head of the bundle
//! /var/lib/lfctl/<name>/backups.json      the last backup and the last drill
//! /var/lib/lfctl/<name>/backup-password   0600, opens the repository
//! /var/lib/lfctl/<name>/units.json        the systemd units that lfctl wrote
//! /var/lib/lfctl/<name>.lock             held while something changes
//! /var/log/lfctl/<name>/audit.jsonl      hash-chained: who, when, what, result
//! /var/lib/lfctl/releases.json           highest release of each name, for the whole host
//! /var/lib/lfctl/statements.json         newest statement about keys of each signer
//! /var/lib/lfctl/_host.lock              held while a file of the whole host is replaced
//! /var/log/lfctl/_host/audit.jsonl       the same log of what concerns the whole host
//! ```
//!
//! A newer lfctl reads every older file; an older one refuses a newer file
//! and says which version wrote it.

pub mod backup;
mod error;
pub mod generation;
pub mod journal;
pub mod state;
mod units;

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::host::HOST;
use crate::host::audit::AuditLog;
use crate::host::lock::Lock;
use crate::stack::secret::SecretStore;
use crate::stack::site::SiteConfig;
use crate::sys::fs::{read_text, sync_dir, write_atomically};
use crate::sys::paths::Paths;
use crate::sys::versioned;
pub use error::ApplianceError;
use journal::Journal;

/// Bytes of the largest file that an operator writes.
pub const TEXT_LIMIT: u64 = 1 << 20;

/// An appliance on this host, installed or about to be.
#[derive(Debug, Clone)]
pub struct Appliance {
    name: String,
    paths: Paths,
}

impl Appliance {
    /// The appliance of this name, whether it exists or not.
    pub fn named(paths: &Paths, name: &str) -> Result<Self, ApplianceError> {
        // `/etc/lfctl/revoked-keys` is the trust store's.
        let legal = name != "revoked-keys"
            && name.len() <= 30
            && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !legal {
            return Err(ApplianceError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            paths: paths.clone(),
        })
    }

    /// The names of all appliances that left something on this host.
    pub fn all(paths: &Paths) -> Result<Vec<String>, ApplianceError> {
        let mut names = Vec::new();
        match fs::read_dir(paths.appliances()) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    if Self::named(paths, &name).is_ok() {
                        names.push(name);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        names.sort();
        Ok(names)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its state directory.
    pub fn dir(&self) -> PathBuf {
        self.paths.state_dir(&self.name)
    }

    /// Where its `site.toml` lies.
    pub fn site_path(&self) -> PathBuf {
        self.paths.site(&self.name)
    }

    /// Where its `secrets.toml` lies.
    pub fn secrets_path(&self) -> PathBuf {
        self.dir().join("secrets.toml")
    }

    pub fn audit_log(&self) -> AuditLog {
        AuditLog::of(&self.paths, &self.name)
    }

    /// The audit log of what concerns the whole host.
    pub fn host_audit_log(&self) -> AuditLog {
        AuditLog::of(&self.paths, HOST)
    }

    /// Takes the lock, or says who holds it.
    pub fn lock(&self) -> Result<Lock, ApplianceError> {
        Lock::acquire(&self.lock_path())?.map_err(|holder| ApplianceError::Locked {
            name: self.name.clone(),
            holder,
        })
    }

    /// Whether another process changes the appliance now.
    pub fn is_locked(&self) -> Result<bool, ApplianceError> {
        match fs::File::open(self.lock_path()) {
            Ok(file) => match file.file().try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Beside the state directory, which a purge removes while it holds the
    /// lock.
    fn lock_path(&self) -> PathBuf {
        self.paths.appliances().join(format!("{}.lock", self.name))
    }

    /// The other appliances that left something on this host.
    pub fn siblings(&self) -> Result<Vec<Self>, ApplianceError> {
        let names = Self::all(&self.paths)?;
        names
            .iter()
            .filter(|name| **name != self.name)
            .map(|name| Self::named(&self.paths, name))
            .collect()
    }

    /// What the operator decided, if that was ever written.
    pub fn site(&self) -> Result<Option<SiteConfig>, ApplianceError> {
        let path = self.site_path();
        let Some(text) = read_optional(&path)? else {
            return Ok(None);
        };
        SiteConfig::parse(&text)
            .map(Some)
            .map_err(|source| ApplianceError::Site { path, source })
    }

    /// Writes `site.toml` as the operator gave it. It may hold secrets.
    pub fn write_site(&self, text: &str) -> Result<(), ApplianceError> {
        Ok(write_atomically(&self.site_path(), text.as_bytes(), 0o600)?)
    }

    /// The generated secrets, if there are any.
    pub fn secrets(&self) -> Result<Option<SecretStore>, ApplianceError> {
        Ok(versioned::load(&self.secrets_path())?)
    }

    /// Writes the secrets, readable by root alone.
    pub fn write_secrets(&self, secrets: &SecretStore) -> Result<(), ApplianceError> {
        let path = self.secrets_path();
        let text = secrets.to_toml().map_err(io::Error::other)?;
        Ok(write_atomically(&path, text.expose().as_bytes(), 0o600)?)
    }

    pub fn journal(&self) -> Journal {
        Journal::at(self.dir().join("journal.jsonl"))
    }

    /// Removes configuration, state and secrets; the audit log stays.
    pub fn purge(&self) -> Result<(), ApplianceError> {
        for dir in [
            Some(self.dir()),
            self.site_path().parent().map(Path::to_owned),
        ]
        .into_iter()
        .flatten()
        {
            match fs::remove_dir_all(&dir) {
                Ok(()) => {
                    if let Some(parent) = dir.parent() {
                        sync_dir(parent)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The text of a file of the operator.
fn read_optional(path: &Path) -> io::Result<Option<String>> {
    match read_text(path, TEXT_LIMIT) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_do_for_containers_and_directories() {
        let paths = Paths::below(Path::new("/nowhere"));
        for bad in [
            "",
            "revoked-keys",
            "-a",
            "1a",
            "A",
            "a/b",
            "..",
            &"a".repeat(31),
        ] {
            assert!(Appliance::named(&paths, bad).is_err(), "{bad} was accepted");
        }
        assert!(Appliance::named(&paths, "langfuse-2").is_ok());
        assert!(Appliance::named(&paths, crate::host::HOST).is_err());
    }

    #[test]
    fn only_one_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        let lock = appliance.lock().unwrap();
        let error = appliance.lock().unwrap_err();
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(lock);
        appliance.lock().unwrap();
    }
}
