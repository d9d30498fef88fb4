//! An appliance on disk: what is installed, how far a change got, who may
//! change it now, and what was done.
//!
//! ```text
//! /etc/lfctl/<name>/site.toml            what the operator decided
//! /var/lib/lfctl/<name>/state.json       what is installed; written last
//! /var/lib/lfctl/<name>/journal.jsonl    one line per step begin and end, fsynced
//! /var/lib/lfctl/<name>/secrets.toml     0600, generated once
//! /var/lib/lfctl/<name>/generations/<n>/ what was committed: record, stack, site.toml, head of the bundle
//! /var/lib/lfctl/<name>.lock             held while something changes
//! /var/log/lfctl/<name>/audit.jsonl      hash-chained: who, when, what, result
//! /var/lib/lfctl/releases.json           highest release of each name, for the whole host
//! /var/lib/lfctl/_host.lock              held while a file of the whole host is replaced
//! /var/log/lfctl/_host/audit.jsonl       the same log of what concerns the whole host
//! ```
//!
//! A newer lfctl reads every older file; an older one refuses a newer file
//! and says which version wrote it.

pub mod generation;
pub mod journal;
pub mod state;

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::host::lock::Lock;
use crate::stack::secret::SecretStore;
use crate::stack::site::{SiteConfig, SiteError};
use crate::sys::fs::{sync_dir, write_atomically};
use crate::sys::paths::Paths;
use crate::sys::versioned::{self, DocumentError};
use generation::Kept;
use journal::Journal;
use state::{State, Stored};

/// An appliance on this host, installed or about to be.
#[derive(Debug, Clone)]
pub struct Appliance {
    name: String,
    paths: Paths,
}

/// What can go wrong with an appliance's files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplianceError {
    /// The name cannot be used for containers and directories.
    #[error(
        "`{0}` is no name for an appliance: use 1 to 30 of a-z, 0-9 and -, beginning with a letter"
    )]
    Name(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process changes the appliance.
    #[error("another lfctl is changing appliance `{name}` (process {holder})")]
    Locked {
        /// The appliance.
        name: String,
        /// Process id of the holder, as far as known.
        holder: String,
    },
    /// A file of a generation is not there as it was written.
    #[error("`{}` cannot be used: {why}", file.display())]
    Generation {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `site.toml` is wrong.
    #[error("{} is not valid", path.display())]
    Site {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SiteError,
    },
    /// A stored document is damaged, or newer than this lfctl.
    #[error(transparent)]
    Document(#[from] DocumentError),
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

    /// Its name.
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

    /// Where its audit log lies.
    pub fn audit_path(&self) -> PathBuf {
        self.paths.audit_log(&self.name)
    }

    fn state_path(&self) -> PathBuf {
        self.dir().join("state.json")
    }

    /// Takes the lock, or says who holds it.
    pub fn lock(&self) -> Result<Lock, ApplianceError> {
        Lock::take(&self.lock_path(), 0o644)?.map_err(|holder| ApplianceError::Locked {
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

    /// What is installed, if anything is.
    pub fn state(&self) -> Result<Option<State>, ApplianceError> {
        let Some(stored) = versioned::load::<Stored>(&self.state_path())? else {
            return Ok(None);
        };
        let stack = match stored.stack {
            Some(stack) => stack,
            None => self.stack_of(&stored.record.current)?,
        };
        Ok(Some(State {
            record: stored.record,
            stack,
        }))
    }

    /// Writes what is installed: the last step of every change.
    pub fn write_state(&self, state: &State) -> Result<(), ApplianceError> {
        let mut record = state.record.clone();
        record.schema = state::SCHEMA;
        env!("CARGO_PKG_VERSION").clone_into(&mut record.lfctl);
        // An older lfctl kept the stack in the file itself.
        if self.stack_of(&record.current).is_err() {
            let kept = Kept {
                stack: &state.stack,
                site: None,
                head: None,
            };
            self.keep_generation(&record.current, &kept)?;
        }
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
        // It holds hashes of secrets, some of which people choose.
        Ok(write_atomically(&self.state_path(), &text, 0o600)?)
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

    /// The journal.
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

fn read_optional(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
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
