//! Why a repository cannot be used, read or written.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use rustic_core::RusticError;
use rustix::io::Errno;
use thiserror::Error;

/// Result of a call on a repository.
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Why a repository cannot be used, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no repository in this directory.
    #[error("`{}` holds no backup repository", .0.display())]
    NotFound(PathBuf),
    /// There is one already.
    #[error("`{}` holds a backup repository already", .0.display())]
    Exists(PathBuf),
    /// The directory holds something else.
    #[error("`{}` is not empty: it holds `{found}`", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One name in it.
        found: String,
    },
    /// No key of the repository opens with this password.
    #[error("wrong password for the backup repository in `{}`", .0.display())]
    WrongPassword(PathBuf),
    /// Written by a newer program.
    #[error("the backup repository in `{}` has format version {version}, newer than 2", path.display())]
    Newer {
        /// The repository.
        path: PathBuf,
        version: u32,
    },
    /// Somebody else works on it.
    #[error("the backup repository is locked by {holder} since {since} (`{}`)", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// User, host and process.
        holder: String,
        /// When the lock was last refreshed.
        since: String,
    },
    /// Nothing can be written there.
    #[error("`{}` is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// No room left, or the quota is used up.
    #[error("no room left to write `{}`", .0.display())]
    Full(PathBuf),
    /// A directory of the repository is gone, such as after an unmount.
    #[error("`{}` is gone: is the target still mounted?", .0.display())]
    Gone(PathBuf),
    /// Any other answer of the filesystem.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file of the repository is not what was written.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    /// The index does not name a blob that a snapshot needs.
    #[error("the index in `{}` does not list blob {blob}", path.display())]
    NotIndexed {
        /// The directory of the index.
        path: PathBuf,
        blob: String,
    },
    /// No snapshot of this name.
    #[error("no snapshot `{0}`")]
    NoSnapshot(String),
    /// More than one snapshot begins so.
    #[error("more than one snapshot begins with `{0}`")]
    AmbiguousSnapshot(String),
    /// A snapshot that must stay.
    #[error("snapshot `{snapshot}` is still needed: {reason}")]
    Needed {
        snapshot: String,
        /// Who needs it.
        reason: String,
    },
    /// No file of this name in the snapshot.
    #[error("no file `{}` in snapshot `{snapshot}`", path.display())]
    NoFile { snapshot: String, path: PathBuf },
    /// A name that a snapshot cannot hold.
    #[error("`{}` is not a path inside a snapshot", .0.display())]
    BadPath(PathBuf),
    /// What is backed up could not be read to its end.
    #[error("failed to read the source of `{}`", path.display())]
    Source {
        /// The file in the snapshot.
        path: PathBuf,
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("no random numbers")]
    Random(#[source] getrandom::Error),
    /// The worker threads ended early.
    #[error("the write of the snapshot stopped early")]
    Stopped,
    /// Anything else that the format library says.
    #[error("{0}")]
    Format(String),
}

impl RepositoryError {
    /// Names an answer of the filesystem.
    pub(super) fn io(action: &'static str, path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) if action != "read" => {
                Self::ReadOnly(path)
            }
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full(path),
            Some(Errno::STALE | Errno::NOTCONN | Errno::NODEV) => Self::Gone(path),
            _ => Self::Io {
                action,
                path,
                source: error,
            },
        }
    }

    /// What an error of a stream that copies a file of a snapshot means: one of
    /// ours from the side that reads, or one of the side that writes.
    pub fn from_stream(path: &Path, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::io("write", path, error),
        }
    }

    /// What an error of the format library means: one of ours that went
    /// through it, or its own message on one line.
    pub(super) fn from_library(error: &RusticError) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(inner) = cause {
            if let Some(ours) = inner.downcast_ref::<Self>() {
                return ours.duplicate();
            }
            cause = inner.source();
        }
        Self::Format(error.display_log())
    }

    /// A copy, for the reader who was not told first.
    pub(super) fn duplicate(&self) -> Self {
        match self {
            Self::ReadOnly(path) => Self::ReadOnly(path.clone()),
            Self::Full(path) => Self::Full(path.clone()),
            Self::Gone(path) => Self::Gone(path.clone()),
            Self::Damaged { path, what } => Self::Damaged {
                path: path.clone(),
                what: what.clone(),
            },
            Self::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path: path.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::Format(other.to_string()),
        }
    }
}
