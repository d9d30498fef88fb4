//! Several files that are read as one, by offset, without joining them.
//!
//! Invariant: the files are open already and are never opened by name again,
//! so nobody can put others in their place.

use std::error::Error;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err::File;

/// A file, or several in a row. Cheap to clone; clones share descriptors.
#[derive(Debug, Clone)]
pub struct SpanFile {
    extents: Arc<[Extent]>,
    len: u64,
}

#[derive(Debug)]
struct Extent {
    file: Arc<File>,
    /// Offset of its first byte in the whole.
    start: u64,
    len: u64,
}

impl SpanFile {
    /// Files with the bytes that are taken from the beginning of each, in
    /// order. Empty ones are left out.
    ///
    /// # Errors
    ///
    /// Together they are larger than a file can be.
    pub fn new(files: impl IntoIterator<Item = (Arc<File>, u64)>) -> io::Result<Self> {
        let mut extents = Vec::new();
        let mut end = 0_u64;
        for (file, len) in files {
            let start = end;
            end = start
                .checked_add(len)
                .filter(|end| *end <= u64::MAX >> 1)
                .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
            if len > 0 {
                extents.push(Extent { file, start, len });
            }
        }
        Ok(Self {
            extents: extents.into(),
            len: end,
        })
    }

    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Reads some bytes at `offset`: none only at the end of the whole, at
    /// the end of a file that became shorter, or into an empty buffer.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // The last extent that begins at or before the offset.
        let behind = self
            .extents
            .partition_point(|extent| extent.start <= offset);
        let Some(extent) = behind.checked_sub(1).and_then(|at| self.extents.get(at)) else {
            return Ok(0);
        };
        let inside = offset - extent.start;
        let left = extent.len.saturating_sub(inside);
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if want == 0 {
            return Ok(0);
        }
        let read = extent.file.file().read_at(&mut buffer[..want], inside);
        read.map_err(|error| {
            let path = extent.file.path().to_owned();
            io::Error::new(error.kind(), Unreadable { path, error })
        })
    }

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the whole, or one of the files, ends before.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where the system failed to read. It says why itself, so that nobody who
/// shows it without its sources keeps that back.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {error}", path.display())]
struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

/// Whether the system failed to read, as when a medium is pulled out, and not
/// lfctl over what was read, as when a digest is wrong.
pub fn is_from_system(error: &io::Error) -> bool {
    if error.raw_os_error().is_some() {
        return true;
    }
    let mut cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(inner) = cause {
        if inner.is::<Unreadable>() {
            return true;
        }
        if let Some(inner) = inner.downcast_ref() {
            return is_from_system(inner);
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> Arc<File> {
        let path = dir.path().join(name);
        fs_err::write(&path, content).unwrap();
        Arc::new(File::open(path).unwrap())
    }

    #[test]
    fn a_file_that_became_shorter_is_an_end_too_early() {
        let dir = tempfile::tempdir().unwrap();
        let span = SpanFile::new([
            (file(&dir, "a", b"abc"), 3),
            (file(&dir, "b", b"de"), 2),
            (file(&dir, "c", b"f"), 1),
        ])
        .unwrap();
        fs_err::write(dir.path().join("b"), b"d").unwrap();
        let mut buffer = [0; 6];
        let error = span.read_exact_at(&mut buffer, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        span.read_exact_at(&mut buffer[..1], 5).unwrap();
        assert_eq!(buffer[0], b'f');
    }

    #[test]
    fn an_error_of_the_system_is_known_under_any_other() {
        let dir = tempfile::tempdir().unwrap();
        // A directory opens, and cannot be read.
        let file = Arc::new(File::open(dir.path()).unwrap());
        let span = SpanFile::new([(file, 1)]).unwrap();
        let error = span.read_at(&mut [0], 0).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
        assert!(text.contains("os error 21"), "{text}");
        assert!(is_from_system(&error));
        assert!(is_from_system(&io::Error::other(error)));
        assert!(is_from_system(&io::Error::from_raw_os_error(5)));
        assert!(!is_from_system(&io::Error::other("digest mismatch")));
        assert!(!is_from_system(&io::ErrorKind::UnexpectedEof.into()));
    }

    #[test]
    fn no_sum_of_sizes_overflows() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir, "a", b"");
        assert!(SpanFile::new([(Arc::clone(&file), u64::MAX >> 1), (file, 1)]).is_err());
    }

    proptest! {
        #[test]
        fn reads_as_the_joined_file(
            content in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(0..200_usize, 0..6),
            offset in 0..220_usize,
            len in 0..220_usize,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(content.len())).collect();
            cuts.extend([0, content.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).enumerate().map(|(at, pair)| {
                let piece = &content[pair[0]..pair[1]];
                (file(&dir, &at.to_string(), piece), piece.len() as u64)
            });
            let span = SpanFile::new(pieces).unwrap();
            prop_assert_eq!(span.size(), content.len() as u64);
            let mut buffer = vec![0; len];
            let result = span.read_exact_at(&mut buffer, offset as u64);
            match content.get(offset..offset + len) {
                Some(expected) => {
                    result.unwrap();
                    prop_assert_eq!(buffer, expected);
                }
                None => prop_assert!(len == 0 || result.is_err()),
            }
        }
    }
}
