//! A reader that hands out the bytes of a blob only while they can still be
//! the right ones.
//!
//! Invariant: the last bytes of a blob leave the reader only after the hash
//! over all of it was right. A reader that counts to the size of the blob has
//! verified it, whether or not they read on to the end of the file.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use crate::sys::span::SpanFile;

/// A blob whose bytes do not have the digest they should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("blob {expected} has other content: its digest is {found}")]
pub struct DigestMismatch {
    /// What it should be.
    pub expected: Digest,
    /// What it is.
    pub found: Digest,
}

/// Reads one blob by offset and hashes it on the way. The error of a wrong
/// hash wraps a [`DigestMismatch`].
#[derive(Debug)]
pub struct BlobReader {
    file: SpanFile,
    offset: u64,
    remaining: u64,
    hasher: Sha256,
    digest: Digest,
    outcome: Option<Result<(), DigestMismatch>>,
}

impl BlobReader {
    /// A reader over `size` bytes at `offset`.
    pub fn new(file: SpanFile, offset: u64, size: u64, digest: Digest) -> Self {
        Self {
            file,
            offset,
            remaining: size,
            hasher: Sha256::new(),
            digest,
            outcome: None,
        }
    }

    /// Judges the hash once; the verdict stays.
    fn finish(&mut self) -> io::Result<()> {
        let found = Digest::from_bytes(self.hasher.finalize_reset().into());
        let expected = self.digest;
        self.outcome
            .get_or_insert_with(|| {
                if found == expected {
                    Ok(())
                } else {
                    Err(DigestMismatch { expected, found })
                }
            })
            .map_err(io::Error::other)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remaining == 0 {
            // A second read behind a wrong hash must not look like a good end.
            return self.finish().map(|()| 0);
        }
        let want = usize::try_from(self.remaining).map_or(buffer.len(), |r| r.min(buffer.len()));
        if want == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..want], self.offset)?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("blob {} is cut off", self.digest),
            ));
        }
        self.hasher.update(&buffer[..read]);
        self.offset += read as u64;
        self.remaining -= read as u64;
        if self.remaining == 0
            && let Err(error) = self.finish()
        {
            buffer[..read].fill(0);
            return Err(error);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn reader(content: &[u8], size: u64, digest: Digest) -> BlobReader {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(content).unwrap();
        let file = fs_err::File::open(file.path()).unwrap();
        // Said to be as long as the blob, whether it is or not.
        let file = SpanFile::new([(file.into(), size)]).unwrap();
        BlobReader::new(file, 0, size, digest)
    }

    #[test]
    fn reads_to_the_end() {
        let mut bytes = Vec::new();
        reader(b"abc", 3, Digest::of(b"abc"))
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, b"abc");
    }

    #[test]
    fn keeps_back_the_last_bytes_of_a_wrong_blob_for_good() {
        let mut reader = reader(b"abd", 3, Digest::of(b"abc"));
        let mut buffer = [0; 8];
        let error = reader.read(&mut buffer).unwrap_err();
        assert!(error.to_string().contains(&Digest::of(b"abc").to_string()));
        assert_eq!(buffer, [0; 8]);
        assert!(reader.read(&mut buffer).is_err());
    }

    #[test]
    fn an_empty_blob_is_hashed_as_well() {
        let mut buffer = [0; 1];
        assert_eq!(
            reader(b"", 0, Digest::of(b"")).read(&mut buffer).unwrap(),
            0
        );
        assert!(reader(b"", 0, Digest::of(b"x")).read(&mut buffer).is_err());
    }

    #[test]
    fn a_blob_that_is_cut_off_is_no_end() {
        let error = reader(b"ab", 3, Digest::of(b"abc"))
            .read_to_end(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
