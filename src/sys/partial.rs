//! A large file that has its name only once it is complete.
//!
//! It grows under `.<name>.partial` beside its final place, so that nothing
//! that looks finished is left behind by an error, a Ctrl-C or a power cut.
//! A lock keeps two writers of the same file apart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;

use super::fs::{has_no_locks, open_own, sync_dir};

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
        let file = open_own(&partial, Some(0o666))?;
        let lock = rustix::fs::flock(file.file(), FlockOperation::NonBlockingLockExclusive);
        locked(lock, target)?;
        // The one who held the lock may have renamed the file meanwhile.
        let same = fs::symlink_metadata(&partial)
            .and_then(|named| file.metadata().map(|open| named.ino() == open.ino()))
            .unwrap_or(false);
        if !same {
            return Err(being_written(target));
        }
        Ok(Self {
            file: Arc::new(file),
            partial,
            target: target.to_owned(),
            finished: false,
        })
    }

    /// Removes what an earlier writer left of the file that will be `target`.
    ///
    /// # Errors
    ///
    /// It cannot be removed, or another process is writing it.
    pub fn discard(target: &Path) -> io::Result<()> {
        match fs::symlink_metadata(Self::path_for(target)?) {
            Ok(_) => Self::reopen(target).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
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
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
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

/// What the answer to taking a lock means. A filesystem without locks is no
/// reason to write nothing: what is written is verified before it has a name.
fn locked(answer: Result<(), Errno>, target: &Path) -> io::Result<()> {
    match answer {
        Ok(()) => Ok(()),
        Err(error) if has_no_locks(&error.into()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(being_written(target)),
        Err(error) => {
            let error = io::Error::from(error);
            let text = format!("failed to lock `{}`: {error}", target.display());
            Err(io::Error::new(error.kind(), text))
        }
    }
}

fn being_written(target: &Path) -> io::Error {
    let text = format!("another process is writing `{}`", target.display());
    io::Error::new(io::ErrorKind::WouldBlock, text)
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
    fn only_a_lock_of_somebody_else_is_another_process() {
        let lock = |error| locked(Err(error), Path::new("a.tar"));
        let text = |error| lock(error).unwrap_err().to_string();
        assert_eq!(text(Errno::AGAIN), "another process is writing `a.tar`");
        let failed = text(Errno::IO);
        assert!(failed.starts_with("failed to lock `a.tar`"), "{failed}");
        for none in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            lock(none).unwrap();
        }
    }

    #[test]
    fn what_was_left_is_removed_unless_somebody_is_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.tar");
        PartialFile::discard(&target).unwrap();
        let partial = PartialFile::create(&target).unwrap();
        let error = PartialFile::discard(&target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        partial.keep();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        PartialFile::discard(&target).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

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
