//! Files whose only content is who holds them.

use std::fs::{Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sys::fs::{directory, make_dirs, open_own, read_own};

/// Mode of a lock: who can open it for reading can hold it.
const MODE: u32 = 0o600;
/// Bytes of the longest process id.
const HOLDER_LIMIT: u64 = 64;

/// Held while something changes; the lock goes when this is dropped, and with
/// the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs_err::File,
}

impl Lock {
    /// Acquires the lock at `path`, or returns who holds it, as far as known.
    /// Nobody but its owner may open it, and so hold it.
    pub fn acquire(path: &Path) -> io::Result<Result<Self, String>> {
        make_dirs(directory(path)?)?;
        let file = open_own(path, Some(MODE))?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        match file.file().try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                (&file).write_all(std::process::id().to_string().as_bytes())?;
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let holder = read_own(path, HOLDER_LIMIT).unwrap_or_default();
                Ok(Err(String::from_utf8_lossy(&holder).into_owned()))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn only_its_owner_can_open_a_lock_and_no_link_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/a.lock");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(Lock::acquire(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
        // As an older lfctl made it.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(Lock::acquire(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
        let other = dir.path().join("other");
        fs::write(&other, "precious").unwrap();
        fs::remove_file(&path).unwrap();
        fs::os::unix::fs::symlink(&other, &path).unwrap();
        Lock::acquire(&path).unwrap_err();
        assert_eq!(fs::read(&other).unwrap(), b"precious");
    }
}
