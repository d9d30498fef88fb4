//! What can go wrong with an appliance's files.

use std::io;
use std::path::PathBuf;

use crate::stack::site::SiteError;
use crate::sys::versioned::DocumentError;

/// What can go wrong with an appliance's files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplianceError {
    /// The name cannot be used for containers and directories.
    #[error(
        "`{0}` is not a name for an appliance: use 1 to 30 of a-z, 0-9 and -, beginning with a letter"
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
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `site.toml` is wrong.
    #[error("{} is not valid", path.display())]
    Site {
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SiteError,
    },
    /// A stored document is damaged, or newer than this lfctl.
    #[error(transparent)]
    Document(#[from] DocumentError),
}
