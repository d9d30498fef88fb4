//! Files whose only content is who holds them.

use std::fs::TryLockError;
use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;

/// Held while something changes; the lock goes when this is dropped, and with
/// the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl Lock {
    /// Acquires the lock at `path`, or returns who holds it, as far as known.
    /// All who may read the file may hold it; `mode` is that of a new one.
    pub fn acquire(path: &Path, mode: u32) -> io::Result<Result<Self, String>> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(mode)
            .open(path)?;
        match file.file().try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                (&file).write_all(std::process::id().to_string().as_bytes())?;
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(fs::read_to_string(path).unwrap_or_default())),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
