//! What reading any document of a bundle needs.

use serde::de::DeserializeOwned;

use super::OpenError;
use crate::oci::archive::{Archive, ArchiveError, Entry, LAYOUT_CONTENT, LAYOUT_NAME};

/// Bytes of the largest document that is held in memory.
pub(super) const DOCUMENT_LIMIT: u64 = 16 << 20;

pub(super) fn layout_entry() -> Result<Entry, ArchiveError> {
    Entry::new(LAYOUT_NAME, LAYOUT_CONTENT.len() as u64, 0)
}

/// Refuses a file that does not begin as a bundle does.
pub(super) fn check_layout(archive: &Archive) -> Result<(), OpenError> {
    let entry = layout_entry()?;
    // A file that is no bundle at all is told apart from a damaged one by
    // the name in its first block.
    let shown = match archive.has_header(&entry) {
        Ok(same) => same,
        Err(ArchiveError::Truncated { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if !shown {
        return Err(OpenError::NotABundle(archive.path().to_owned()));
    }
    if archive.read(&entry, DOCUMENT_LIMIT)? != LAYOUT_CONTENT {
        return Err(OpenError::NotABundle(archive.path().to_owned()));
    }
    Ok(())
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, OpenError> {
    serde_json::from_slice(bytes).map_err(|source| OpenError::Document {
        what: what.to_owned(),
        source,
    })
}
