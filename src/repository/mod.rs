//! A backup repository in restic's format: encrypted, deduplicated, compressed,
//! and readable on any machine with stock `restic`.
//!
//! Blocking: call it on a thread that may wait.
//!
//! Keys, index, maintenance and the documents are `rustic_core`'s. What it does
//! not do is here: its archiver leaves a file out of the snapshot when reading
//! it fails, records no size for a stream whose length is not known before,
//! takes files in the order of their names only, while a consistent cut asks
//! for its own order, runs as many threads as the host has cores, each with
//! chunks of up to 8 MiB in hand, and takes no locks. So the way in
//! ([`SnapshotWriter`]) and the locks are ours, and so is the directory.

mod chunk;
mod cipher;
mod directory;
mod error;
mod files;
mod lock;
mod pack;
mod password;
mod read;
mod retention;
mod snapshot;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod write;

use std::path::Path;
use std::sync::Arc;

use rustic_core::{
    ConfigOptions, Credentials, KeyOptions, OpenStatus, RepositoryBackends, RepositoryOptions,
};

use cipher::Cipher;
use directory::Directory;

pub use error::{RepositoryError, Result};
pub use password::Password;
pub use read::{Entry, FileReader, SnapshotReader};
pub use retention::{KeepRules, Needed, Pruned, Retained};
pub use snapshot::{Snapshot, SnapshotId};
pub use tree::{Kind, Meta};
pub use verify::{Damage, Verified};
pub use write::{Description, SnapshotWriter, Totals};

/// Digits of a key's id that `restic` shows.
const KEY_DIGITS: usize = 8;

/// An open repository.
#[derive(Debug, Clone)]
pub struct Repository {
    library: Arc<rustic_core::Repository<OpenStatus>>,
    directory: Directory,
    cipher: Cipher,
}

impl Repository {
    /// Makes a new repository in `path`, which is empty or does not exist.
    ///
    /// # Errors
    ///
    /// There is a repository or something else already, or the directory cannot
    /// be written.
    pub fn init(path: &Path, password: &Password) -> Result<Self> {
        let directory = Directory::new(path);
        directory.prepare()?;
        let library = library(&directory)?
            .init(
                &Credentials::password(password.expose()),
                &KeyOptions::default(),
                &ConfigOptions::default(),
            )
            .map_err(|error| RepositoryError::from_library(&error))?;
        Ok(Self::new(library, directory))
    }

    /// Opens the repository in `path`.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NotFound`], [`RepositoryError::WrongPassword`],
    /// [`RepositoryError::Newer`], or what the filesystem says.
    pub fn open(path: &Path, password: &Password) -> Result<Self> {
        let directory = Directory::new(path);
        directory.check_present()?;
        let library = library(&directory)?
            .open(&Credentials::password(password.expose()))
            .map_err(|error| {
                if error.is_incorrect_password() || error.is_code("C002") {
                    return RepositoryError::WrongPassword(path.to_owned());
                }
                newer(path, &error).unwrap_or_else(|| RepositoryError::from_library(&error))
            })?;
        Ok(Self::new(library, directory))
    }

    fn new(library: rustic_core::Repository<OpenStatus>, directory: Directory) -> Self {
        let cipher = Cipher::new(&library.key());
        Self {
            library: Arc::new(library),
            directory,
            cipher,
        }
    }

    /// The id of the key that the password opened, as `restic key list` shows
    /// it: the first eight hexadecimal digits.
    pub fn key_id(&self) -> Option<String> {
        let id = self.library.key_id().as_ref()?.to_string();
        Some(id.chars().take(KEY_DIGITS).collect())
    }

    /// The directory of the repository.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn library(directory: &Directory) -> Result<rustic_core::Repository<()>> {
    let options = RepositoryOptions::default().no_cache(true);
    let backends = RepositoryBackends::new(Arc::new(directory.clone()), None);
    rustic_core::Repository::new(&options, &backends)
        .map_err(|error| RepositoryError::from_library(&error))
}

/// The error of a repository of a version that the library does not know. It
/// says so in its message only.
fn newer(path: &Path, error: &rustic_core::RusticError) -> Option<RepositoryError> {
    let message = error.display_log();
    let (_, rest) = message.split_once("Config version `")?;
    Some(RepositoryError::Newer {
        path: path.to_owned(),
        version: rest.split('`').next()?.parse().ok()?,
    })
}
