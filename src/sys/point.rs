//! Rollback points: a directory as it was, beside it on the same filesystem.
//!
//! Nothing may write into the directory meanwhile. A point is made under
//! another name and renamed once all of it is on the disk, so that one with
//! its final name is whole. It shares disks, and often blocks, with what it
//! protects: it is no backup.

use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

use super::fs::sync_dir;

/// What a point took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Files that share their content by a hard link.
    pub linked: u64,
    /// Files that were cloned or copied.
    pub copied: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// A rollback point of a directory.
#[derive(Debug, Clone)]
pub struct Point {
    directory: PathBuf,
    kept: PathBuf,
}

impl Point {
    /// The point of this name beside `directory`.
    pub fn beside(directory: &Path, name: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            kept: directory.with_file_name(name),
        }
    }

    /// Whether it was made as a whole and not put back yet.
    pub fn exists(&self) -> bool {
        self.kept.is_dir()
    }

    /// Makes it. Files in a directory that holds a file named
    /// `immutable_beside` are hard links; all others are clones where the
    /// filesystem has them, and copies where not.
    ///
    /// # Errors
    ///
    /// The directory is a filesystem of its own, or cannot be read, or the
    /// disk is full.
    pub fn make(&self, immutable_beside: Option<&str>) -> io::Result<Cost> {
        let mut cost = Cost::default();
        if self.exists() {
            return Ok(cost);
        }
        let parent = super::fs::directory(&self.directory)?;
        if fs::metadata(parent)?.dev() != fs::metadata(&self.directory)?.dev() {
            let why = format!("`{}` is a filesystem of its own", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::CrossesDevices, why));
        }
        let half = self.half();
        remove(&half)?;
        copy_tree(&self.directory, &half, immutable_beside, &mut cost)?;
        rustix::fs::syncfs(fs::File::open(parent)?)?;
        fs::rename(&half, &self.kept)?;
        sync_dir(parent)?;
        Ok(cost)
    }

    /// Puts it back: the directory is what it was, and the point is gone. A
    /// point that was put back, or never whole, changes nothing.
    ///
    /// # Errors
    ///
    /// A directory cannot be renamed or removed.
    pub fn put_back(&self) -> io::Result<()> {
        let away = self.directory.with_extension("lfctl-undone");
        if self.exists() {
            if self.directory.exists() {
                // What an attempt before this one had moved away.
                remove(&away)?;
                fs::rename(&self.directory, &away)?;
            }
            fs::rename(&self.kept, &self.directory)?;
            sync_dir(super::fs::directory(&self.directory)?)?;
        }
        remove(&away)?;
        remove(&self.half())
    }

    /// Removes it, whole or not.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.kept)?;
        remove(&self.half())
    }

    fn half(&self) -> PathBuf {
        self.kept.with_extension("half")
    }
}

/// Bytes that a point of `directory` would copy, were there no clones. What
/// goes away while it is counted does not count.
///
/// # Errors
///
/// The directory cannot be read.
pub fn bytes_to_copy(directory: &Path, immutable_beside: Option<&str>) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let linked = is_immutable(directory, immutable_beside);
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            bytes += bytes_to_copy(&entry.path(), immutable_beside)?;
        } else if kind.is_file() && !linked {
            bytes += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    Ok(bytes)
}

fn is_immutable(directory: &Path, beside: Option<&str>) -> bool {
    beside.is_some_and(|name| directory.join(name).is_file())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path, beside: Option<&str>, cost: &mut Cost) -> io::Result<()> {
    fs::create_dir(to)?;
    let linked = is_immutable(from, beside);
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, beside, cost)?;
        } else if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
            give_attributes(&source, &target)?;
        } else if kind.is_file() && linked {
            fs::hard_link(&source, &target)?;
            cost.linked += 1;
        } else if kind.is_file() {
            cost.bytes += copy_file(&source, &target)?;
            cost.copied += 1;
            give_attributes(&source, &target)?;
        }
        // Sockets and pipes are made anew by who listens on them.
    }
    give_attributes(from, to)
}

fn copy_file(source: &Path, target: &Path) -> io::Result<u64> {
    let (from, to) = (fs::File::open(source)?, fs::File::create_new(target)?);
    if rustix::fs::ioctl_ficlone(to.file(), from.file()).is_ok() {
        return Ok(from.metadata()?.len());
    }
    drop((from, to));
    fs::copy(source, target)
}

/// Owner, mode, times and extended attributes.
fn give_attributes(source: &Path, target: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(source)?;
    lchown(target, Some(metadata.uid()), Some(metadata.gid()))?;
    if !metadata.is_symlink() {
        give_extended(source, target)?;
        // Behind the owner, whose change takes set-uid bits away.
        fs::set_permissions(target, metadata.permissions())?;
    }
    let time = |seconds, nanos| Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(
        CWD,
        target,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn give_extended(source: &Path, target: &Path) -> io::Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::listxattr(source, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::getxattr(source, name, &mut value)?;
        match rustix::fs::setxattr(target, name, &value[..length], XattrFlags::empty()) {
            // A label that the kernel gives by itself.
            Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with a part that never changes, and a file that is appended to.
    fn store() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("_data");
        fs::create_dir_all(data.join("part")).unwrap();
        fs::write(data.join("part/checksums.txt"), "sums").unwrap();
        fs::write(data.join("part/column.bin"), "column").unwrap();
        fs::write(data.join("log"), "one\n").unwrap();
        (dir, data)
    }

    #[test]
    fn a_point_keeps_what_is_changed_in_place_and_links_what_is_not() {
        let (_dir, data) = store();
        let point = Point::beside(&data, "lfctl-point-2");
        assert_eq!(bytes_to_copy(&data, Some("checksums.txt")).unwrap(), 4);
        let cost = point.make(Some("checksums.txt")).unwrap();
        assert_eq!((cost.linked, cost.copied, cost.bytes), (2, 1, 4));
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        let kept = data.with_file_name("lfctl-point-2");
        assert_eq!(
            inode(data.join("part/column.bin")),
            inode(kept.join("part/column.bin"))
        );
        fs::write(data.join("log"), "one\ntwo\n").unwrap();
        fs::remove_dir_all(data.join("part")).unwrap();
        point.put_back().unwrap();
        assert_eq!(fs::read_to_string(data.join("log")).unwrap(), "one\n");
        let column = fs::read_to_string(data.join("part/column.bin")).unwrap();
        assert_eq!(column, "column");
        assert!(!point.exists());
        // Twice is once.
        fs::write(data.join("log"), "later\n").unwrap();
        point.put_back().unwrap();
        assert_eq!(fs::read_to_string(data.join("log")).unwrap(), "later\n");
    }

    #[test]
    fn a_point_that_is_not_whole_is_never_put_back() {
        let (dir, data) = store();
        let half = dir.path().join("lfctl-point-2.half");
        fs::create_dir(&half).unwrap();
        let point = Point::beside(&data, "lfctl-point-2");
        point.put_back().unwrap();
        assert!(!half.exists() && data.join("log").exists());
    }

    #[test]
    fn putting_back_goes_on_between_its_two_renames() {
        let (_dir, data) = store();
        let point = Point::beside(&data, "lfctl-point-2");
        point.make(None).unwrap();
        fs::rename(&data, data.with_extension("lfctl-undone")).unwrap();
        point.put_back().unwrap();
        assert_eq!(fs::read_to_string(data.join("log")).unwrap(), "one\n");
        assert_eq!(fs::read_dir(data.parent().unwrap()).unwrap().count(), 1);
    }
}
