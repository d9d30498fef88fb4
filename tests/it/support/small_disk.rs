//! Filesystems that are soon full.

use std::path::PathBuf;

use fs_err as fs;

use super::bundle::{output, run};

/// Bytes that a file takes at least, and in steps of which it grows.
pub(crate) const PAGE: u64 = 4096;

/// A small filesystem. Goes with its value.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// One of so many bytes.
    pub(crate) fn at(path: PathBuf, bytes: u64) -> Self {
        fs::create_dir(&path).unwrap();
        let size = format!("size={bytes}");
        let at = path.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at]);
        Self(path)
    }

    /// Makes it one of so many bytes.
    #[cfg(feature = "pull")]
    pub(crate) fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        run("mount", &["-o", &size, self.0.to_str().unwrap()]);
    }

    /// Lets nobody write there any more.
    pub(crate) fn read_only(&self) {
        run("mount", &["-o", "remount,ro", self.0.to_str().unwrap()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        output("umount", &[self.0.to_str().unwrap()]);
    }
}
