//! A bundle over several files, for media that are smaller than it.
//!
//! `NAME.tar.001`, `NAME.tar.002` and so on, joined in this order, are the
//! bundle. `NAME.tar.parts` lists the digest of each, signed in
//! `NAME.tar.parts.minisig`. Parts are read where they are, as one file, and
//! may lie in several directories. Invariant: what [`Parts::check`] has passed
//! was hashed through the descriptors that are read later.

mod error;
mod find;
mod limits;
mod list;
mod write;

use std::io;

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;
use sha2::{Digest as _, Sha256};

pub use error::PartError;
pub use find::Parts;
pub use limits::{EXTENSION, FORMAT, MOST, SMALLEST};
pub use list::{PartList, directory, list_of, list_path, signature_path};
pub use write::{PartWriter, SplitOptions, digests, discard, first_partial, split};

use super::workers::{CHUNK, Watch};
use crate::oci::digest::Digest;

/// Digest of the first `size` bytes of a file.
fn hash(file: &fs::File, size: u64, watch: &Watch) -> Result<Digest, io::Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size && !watch.is_over() {
        let want = usize::try_from(size - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let read = match file.read_at(&mut buffer[..want], offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..read]);
        watch.count(read);
        offset += read as u64;
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

#[cfg(test)]
mod tests;
