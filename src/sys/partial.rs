//! A large file that has its name only once it is complete.
//!
//! It grows under `.<name>.partial` beside its final place, so that nothing
//! that looks finished is left behind by an error, a Ctrl-C or a power cut.
//! A lock keeps two writers of the same file apart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use std::os::unix::fs::MetadataExt;

use super::fs::sync_dir;

/// A file in the making. Dropping it without [`PartialFile::finish`] or
/// [`PartialFile::keep`] removes it.
#[derive(Debug)]
pub struct PartialFile {
    file: Arc<fs::File>,
    partial: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl PartialFile {
    /// Begins the file that will be `target`.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::reopen`].
    pub fn create(target: &Path) -> io::Result<Self> {
        let partial = Self::reopen(target)?;
        partial.file.set_len(0)?;
        Ok(partial)
    }

    /// Goes on with the file that will be `target`: what an earlier writer
    /// left is still in it.
    ///
    /// # Errors
    ///
    /// `target` names no file, its directory does not exist or cannot be
    /// written, or another process is writing the same file.
    pub fn reopen(target: &Path) -> io::Result<Self> {
        let partial = Self::path_for(target)?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
            .open(&partial)?;
        let busy = || {
            io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("another process is writing `{}`", target.display()),
            )
        };
        rustix::fs::flock(file.file(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| busy())?;
        // Whoever held the lock may have renamed the file meanwhile.
        let same = fs::symlink_metadata(&partial)
            .and_then(|named| file.metadata().map(|open| named.ino() == open.ino()))
            .unwrap_or(false);
        if !same {
            return Err(busy());
        }
        Ok(Self {
            file: Arc::new(file),
            partial,
            target: target.to_owned(),
            finished: false,
        })
    }

    /// Where a file in the making is.
    ///
    /// # Errors
    ///
    /// `target` names no file.
    pub fn path_for(target: &Path) -> io::Result<PathBuf> {
        let name = target.file_name().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` names no file", target.display()),
            )
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        Ok(target.with_file_name(hidden))
    }

    /// Reserves exactly `size` bytes, so that a full disk is found now. Those
    /// that were not there are zeros.
    pub fn reserve(&self, size: u64) -> io::Result<()> {
        let failed = |error: &io::Error| {
            let target = self.target.display();
            io::Error::new(
                error.kind(),
                format!("failed to reserve {size} bytes for `{target}`: {error}"),
            )
        };
        let file = self.file.file();
        file.set_len(size).map_err(|error| failed(&error))?;
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(failed(&error.into())),
        }
    }

    /// The open file.
    pub fn file(&self) -> &Arc<fs::File> {
        &self.file
    }

    /// Where it is until it is finished.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Leaves the file for a later [`PartialFile::reopen`].
    pub fn keep(mut self) {
        self.finished = true;
    }

    /// Gives the file its name; from then on it survives a power cut.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.target)?;
        self.finished = true;
        match self.target.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
            _ => sync_dir(Path::new(".")),
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing useful can be done about a failure, and the name says
            // that the file is not complete.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_its_name_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.tar");
        let names = || -> Vec<_> {
            fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect()
        };
        let partial = PartialFile::create(&target).unwrap();
        partial.reserve(1000).unwrap();
        assert_eq!(names(), [".a.tar.partial"]);
        assert!(PartialFile::create(&target).is_err(), "two writers");
        drop(partial);
        assert!(names().is_empty());

        let partial = PartialFile::create(&target).unwrap();
        partial.reserve(1000).unwrap();
        partial.finish().unwrap();
        assert_eq!(names(), ["a.tar"]);
        assert_eq!(fs::metadata(&target).unwrap().len(), 1000);
    }
}
