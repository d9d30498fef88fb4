//! An OCI image layout as an uncompressed tar in which nothing is left to
//! chance.
//!
//! Invariants: every entry is a regular ustar file with mode 0644, owner 0:0
//! and time 0, so its 512-byte header follows from name and size alone. A
//! reader therefore never parses a tar: it computes each header and offset
//! and compares bytes. Only the size field of an entry whose size is not
//! known beforehand is read, with a limit, and then the header is computed
//! from it and compared as well.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::{File, OpenOptions};

use super::blob::BlobReader;
use super::digest::Digest;
use crate::sys::span::SpanFile;

/// Bytes of a tar block.
pub const BLOCK: u64 = 512;
/// Two zero blocks end the archive.
pub const END: u64 = 2 * BLOCK;
/// Name of the entry that marks an OCI image layout.
pub const LAYOUT_NAME: &str = "oci-layout";
/// Content of that entry.
pub const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the index of an OCI image layout.
pub const INDEX_NAME: &str = "index.json";

/// What is wrong with the tar itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error("cannot read the archive")]
    Io(#[source] io::Error),
    /// Not a file that can be read by offset.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file ends too early.
    #[error("truncated: the file ends at byte {at}, inside {entry}")]
    Truncated {
        /// Bytes of the file.
        at: u64,
        /// What is cut off.
        entry: String,
    },
    /// A header that is not the computed one.
    #[error("tar header of `{0}` is not the one its name and size call for")]
    Header(String),
    /// Bytes other than zero behind an entry.
    #[error("padding behind `{0}` is not zero")]
    Padding(String),
    /// Bytes other than zero in the two last blocks.
    #[error("the two blocks that end the tar are not zero")]
    End,
    /// Bytes behind the end.
    #[error("trailing data: the archive ends at byte {end}, the file at byte {len}")]
    Trailing {
        /// Where the archive ends.
        end: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// A part of the head is larger than any honest one.
    #[error("`{name}` claims {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Name of the entry.
        name: String,
        /// Claimed bytes.
        size: u64,
        /// Allowed bytes.
        limit: u64,
    },
    /// Sizes whose sum no file can have.
    #[error("sizes of the entries add up to more than a file can hold")]
    Overflow,
}

/// One file in the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, relative to the root of the layout.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Offset of its header.
    pub offset: u64,
}

impl Entry {
    /// An entry whose header starts at `offset`.
    ///
    /// # Errors
    ///
    /// It would end beyond what a file can hold.
    pub fn new(name: impl Into<String>, size: u64, offset: u64) -> Result<Self, ArchiveError> {
        size.checked_add(offset)
            .filter(|end| *end < u64::MAX >> 1)
            .ok_or(ArchiveError::Overflow)?;
        Ok(Self {
            name: name.into(),
            size,
            offset,
        })
    }

    /// Offset of its content.
    pub fn data(&self) -> u64 {
        self.offset + BLOCK
    }

    /// Bytes of zeros behind its content.
    pub fn padding(&self) -> u64 {
        (BLOCK - self.size % BLOCK) % BLOCK
    }

    /// Offset behind its padding.
    pub fn end(&self) -> u64 {
        self.data() + self.size + self.padding()
    }

    /// The only header this entry may have.
    ///
    /// # Errors
    ///
    /// The name does not fit a ustar header.
    pub fn header(&self) -> io::Result<[u8; 512]> {
        let mut header = tar::Header::new_ustar();
        header.set_path(&self.name)?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(self.size);
        header.set_cksum();
        Ok(*header.as_bytes())
    }
}

/// Name of the entry that holds a blob.
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Opens a file for reading by offset; returns it with its bytes.
pub fn open_file(path: &Path) -> Result<(Arc<File>, u64), ArchiveError> {
    use fs_err::os::unix::fs::OpenOptionsExt;
    // A pipe of this name must not block before it is refused.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)
        .map_err(ArchiveError::Io)?;
    let metadata = file.metadata().map_err(ArchiveError::Io)?;
    if !metadata.is_file() {
        return Err(ArchiveError::NotAFile(path.to_owned()));
    }
    Ok((Arc::new(file), metadata.len()))
}

/// An open archive: one file, or parts that are read as one. They are opened
/// once and never by name again.
#[derive(Debug, Clone)]
pub struct Archive {
    file: SpanFile,
    path: PathBuf,
}

impl Archive {
    /// Opens a file for reading by offset.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = SpanFile::new([open_file(path)?]).map_err(ArchiveError::Io)?;
        Ok(Self::over(file, path))
    }

    /// An archive whose files are open already; `path` is what names it.
    pub fn over(file: SpanFile, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
        }
    }

    /// Path under which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// The bytes below the entries.
    pub fn file(&self) -> &SpanFile {
        &self.file
    }

    /// Whether the header at the entry's offset is the computed one.
    pub fn has_header(&self, entry: &Entry) -> Result<bool, ArchiveError> {
        let found = self.block(entry.offset, &entry.name)?;
        Ok(entry
            .header()
            .is_ok_and(|expected| found == expected.as_slice()))
    }

    /// Refuses a header or padding that is not the computed one.
    pub fn check(&self, entry: &Entry) -> Result<(), ArchiveError> {
        if !self.has_header(entry)? {
            return Err(ArchiveError::Header(entry.name.clone()));
        }
        let padding = self.bytes(entry.data() + entry.size, entry.padding(), &entry.name)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Padding(entry.name.clone()));
        }
        Ok(())
    }

    /// The entry at `offset`, whose size only its header knows.
    pub fn entry_at(&self, offset: u64, name: &str, limit: u64) -> Result<Entry, ArchiveError> {
        let block = self.block(offset, name)?;
        let size = tar::Header::from_byte_slice(&block)
            .entry_size()
            .map_err(|_| ArchiveError::Header(name.to_owned()))?;
        let entry = Entry::new(name, size, offset)?;
        if !self.has_header(&entry)? {
            return Err(ArchiveError::Header(name.to_owned()));
        }
        if size > limit {
            return Err(ArchiveError::TooLarge {
                name: name.to_owned(),
                size,
                limit,
            });
        }
        Ok(entry)
    }

    /// The content of a small entry, after checking header and padding.
    pub fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        if entry.size > limit {
            return Err(ArchiveError::TooLarge {
                name: entry.name.clone(),
                size: entry.size,
                limit,
            });
        }
        self.check(entry)?;
        self.bytes(entry.data(), entry.size, &entry.name)
    }

    /// Refuses anything but two zero blocks behind `end`, and anything behind those.
    pub fn check_end(&self, end: u64) -> Result<(), ArchiveError> {
        let zeros = self.bytes(end, END, "the end of the tar")?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::End);
        }
        Ok(())
    }

    /// Refuses a file that is longer or shorter than an archive whose last
    /// entry is `last`.
    pub fn check_size(&self, last: &Entry) -> Result<(), ArchiveError> {
        let end = last.end().checked_add(END).ok_or(ArchiveError::Overflow)?;
        match self.size().cmp(&end) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(ArchiveError::Trailing {
                end,
                len: self.size(),
            }),
            std::cmp::Ordering::Less => Err(ArchiveError::Truncated {
                at: self.size(),
                entry: format!("an archive of {end} bytes"),
            }),
        }
    }

    /// A reader over the content of an entry that must have this digest.
    pub fn reader(&self, entry: &Entry, digest: Digest) -> BlobReader {
        BlobReader::new(self.file.clone(), entry.data(), entry.size, digest)
    }

    fn block(&self, offset: u64, name: &str) -> Result<Vec<u8>, ArchiveError> {
        self.bytes(offset, BLOCK, name)
    }

    fn bytes(&self, offset: u64, size: u64, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let truncated = || ArchiveError::Truncated {
            at: self.size(),
            entry: format!("`{name}`"),
        };
        // Before the buffer is made, so that a lie about a size costs nothing.
        offset
            .checked_add(size)
            .filter(|end| *end <= self.size())
            .ok_or_else(truncated)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| ArchiveError::Overflow)?];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(truncated()),
            Err(error) => Err(ArchiveError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn header_follows_from_name_and_size() {
        let entry = Entry::new("blobs/sha256/00", 1000, 0).unwrap();
        let header = entry.header().unwrap();
        assert_eq!(&header[257..265], b"ustar\x0000");
        assert_eq!(&header[100..108], b"0000644\0");
        assert_eq!(&header[124..136], b"00000001750\0");
        assert_eq!(header[156], b'0');
        assert_eq!(entry.end(), 512 + 1024);
    }

    #[test]
    fn sizes_above_eight_gibibytes_fit() {
        let entry = Entry::new("blob", 20 << 30, 0).unwrap();
        let header = entry.header().unwrap();
        let parsed = tar::Header::from_byte_slice(&header).entry_size().unwrap();
        assert_eq!(parsed, 20 << 30);
    }

    #[test]
    fn no_sum_of_sizes_overflows() {
        assert!(Entry::new("blob", u64::MAX, 0).is_err());
        assert!(Entry::new("blob", u64::MAX >> 1, u64::MAX >> 1).is_err());
    }

    #[test]
    fn a_directory_is_no_archive() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Archive::open(dir.path()),
            Err(ArchiveError::NotAFile(_))
        ));
    }

    proptest! {
        #[test]
        fn entries_are_whole_blocks(size in 0..1u64 << 40) {
            let entry = Entry::new("x", size, 0).unwrap();
            prop_assert_eq!(entry.end() % BLOCK, 0);
            prop_assert!(entry.end() >= entry.data() + size);
            prop_assert!(entry.end() < entry.data() + size + BLOCK);
        }
    }
}
