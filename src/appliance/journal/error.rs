//! Why a journal cannot be used.

use std::io;
use std::path::PathBuf;

use super::record::SCHEMA;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line was written by a newer lfctl.
    #[error(
        "line {line} of {} has schema {schema}, this lfctl reads up to {SCHEMA}",
        path.display()
    )]
    Newer {
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The schema of the line.
        schema: u64,
    },
    /// A line that is not the last one cannot be read.
    #[error("line {line} of {} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
}
