//! Files that are written whole or not at all.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use tempfile::NamedTempFile;

/// Mode of the directories that lfctl makes.
const DIRECTORY_MODE: u32 = 0o755;

/// As [`write_atomically`], for a file that must not be there yet.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if something has that name; it stays as
/// it is.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = directory(path)?;
    written(path, bytes, mode)?
        .persist_noclobber(path)
        .map_err(|error| named(&error.error, "create", path))?;
    sync_dir(dir)
}

/// Writes `bytes` to `path` so that a reader, or the next boot after a power
/// cut, sees the old content or the new one: temporary file in the same
/// directory, fsync, rename, fsync of the directory. Missing directories are
/// made.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = directory(path)?;
    written(path, bytes, mode)?
        .persist(path)
        .map_err(|error| named(&error.error, "replace", path))?;
    sync_dir(dir)
}

/// A file on disk that lacks only the name `path`.
fn written(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = temporary(directory(path)?, mode)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| named(&error, "write", path))?;
    // The umask may have taken bits away that the caller asked for.
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))
        .map_err(|error| named(&error, "set the mode of", path))?;
    Ok(file)
}

/// Finds out whether [`write_atomically`] can put a file where `path` is, so
/// that it is known before long work whose end it is.
///
/// # Errors
///
/// As [`write_atomically`].
pub fn check_replaceable(path: &Path) -> io::Result<()> {
    temporary(directory(path)?, 0o600).map(drop)
}

/// The directory that holds `path`.
pub fn directory(path: &Path) -> io::Result<&Path> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other(format!("{} has no parent directory", path.display())))?;
    // The parent of a bare file name is the current directory.
    Ok(if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    })
}

/// The whole content of a file that somebody named.
///
/// # Errors
///
/// The file cannot be read, or is not a regular file: a pipe would block. It
/// has more than `limit` bytes: an error of [`io::ErrorKind::InvalidData`], and
/// no more than that is read.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_all(&open_regular(path, OFlags::empty())?, path, limit)
}

/// As [`read_bounded`], for text.
///
/// # Errors
///
/// As [`read_bounded`], and what is not UTF-8 is [`io::ErrorKind::InvalidData`].
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(path, limit)?).map_err(|_| {
        let text = format!("`{}` is not UTF-8 text", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// As [`read_bounded`], for a file of lfctl itself: a link in its place leads
/// to a file of somebody else and is not followed.
///
/// # Errors
///
/// As [`read_bounded`]; the file is a link.
pub fn read_own(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_all(&open_regular(path, OFlags::NOFOLLOW)?, path, limit)
}

fn read_all(file: &fs::File, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}` has more than {limit} bytes", path.display()),
        ));
    }
    Ok(bytes)
}

/// Opens a regular file for reading.
fn open_regular(path: &Path, flags: OFlags) -> io::Result<fs::File> {
    // A pipe of this name must not block before it is refused.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flag_bits(flags | OFlags::NONBLOCK))
        .open(path)?;
    regular(file, path)
}

fn regular(file: fs::File, path: &Path) -> io::Result<fs::File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{}` is not a regular file", path.display()),
    ))
}

fn flag_bits(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

/// As [`read_own`]; `None` if there is no such file.
///
/// # Errors
///
/// As [`read_own`].
pub fn read_optional(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match read_own(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `path` with `suffix` behind its name: `a.toml` becomes `a.toml.lock`.
pub fn with_suffix(path: &Path, suffix: impl AsRef<OsStr>) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn temporary(dir: &Path, mode: u32) -> io::Result<NamedTempFile> {
    make_dirs(dir)?;
    tempfile::Builder::new()
        .prefix(".lfctl-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)
        .map_err(|error| named(&error, "create a file in", dir))
}

/// Opens a file that nobody but lfctl should have put there, to read and write
/// it; it is made where it is not there and `create` names a mode. A link would
/// lead to a file of somebody else.
///
/// # Errors
///
/// It cannot be opened, or is a link, a directory, or no file at all.
pub fn open_own(path: &Path, create: Option<u32>) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(create.is_some())
        .truncate(false)
        .mode(create.unwrap_or_default())
        .custom_flags(flag_bits(OFlags::NOFOLLOW))
        .open(path)?;
    regular(file, path)
}

/// Whether taking a lock failed because the filesystem has none, as some
/// network and FUSE filesystems.
pub fn has_no_locks(error: &io::Error) -> bool {
    Errno::from_io_error(error)
        .is_some_and(|errno| matches!(errno, Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS))
}

/// Makes a directory, and those above it that are missing, so that they
/// survive a power cut. Only their owner may write to them, whatever the umask.
pub fn make_dirs(dir: &Path) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<_> = dir.ancestors().take_while(is_missing).collect();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(dir)
        .map_err(|error| named(&error, "create directory", dir))?;
    for made in missing {
        // The umask may have taken bits away that others need to look inside.
        fs::set_permissions(made, Permissions::from_mode(DIRECTORY_MODE))?;
        sync_dir(directory(made)?)?;
    }
    Ok(())
}

/// Makes renames and removals in `dir` survive a power cut.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

fn named(error: &io::Error, action: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("failed to {action} `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(open_own(&path("a"), None).is_err());
        open_own(&path("a"), Some(0o600)).unwrap();
        open_own(&path("a"), None).unwrap();
        fs::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        fs::os::unix::fs::symlink(path("none"), path("broken")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, mode, 0).unwrap();
        for name in ["link", "broken", "fifo", "."] {
            assert!(open_own(&path(name), Some(0o600)).is_err(), "{name}");
            assert!(read_own(&path(name), 9).is_err(), "{name}");
        }
        for name in ["broken", "fifo", "."] {
            assert!(read_bounded(&path(name), 9).is_err(), "{name}");
        }
        // One that an operator names may be a link.
        assert!(read_bounded(&path("link"), 9).unwrap().is_empty());
        assert!(!path("none").exists());
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_optional(&path, 3).unwrap(), None);
        fs::write(&path, "abc").unwrap();
        assert_eq!(read_optional(&path, 3).unwrap().unwrap(), b"abc");
        let error = read_optional(&path, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        read_bounded(Path::new("/dev/zero"), 1 << 20).unwrap_err();
    }

    #[test]
    fn directories_are_made_wherever_they_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        make_dirs(&dir.path().join("a/b/c")).unwrap();
        make_dirs(&dir.path().join("a/b/d")).unwrap();
        assert!(dir.path().join("a/b/c").is_dir() && dir.path().join("a/b/d").is_dir());
        make_dirs(Path::new("src")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        make_dirs(&dir.path().join("file/a")).unwrap_err();
    }

    #[test]
    fn directories_are_writable_for_their_owner_alone_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        // The umask is that of the whole process: a child has its own.
        let program = std::env::current_exe().unwrap();
        let name = "sys::fs::tests::makes_directories_for_another_test";
        for umask in ["000", "077"] {
            let script = format!("umask {umask}; exec \"$0\" --exact {name} --ignored");
            let status = std::process::Command::new("sh")
                .args(["-c", &script])
                .arg(&program)
                .env("LFCTL_TEST_DIR", &deep)
                .output()
                .unwrap()
                .status;
            assert!(status.success());
            for one in [&deep, deep.parent().unwrap()] {
                let mode = fs::metadata(one).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o755, "{umask}");
            }
            fs::remove_dir_all(deep.parent().unwrap()).unwrap();
        }
    }

    #[test]
    #[ignore = "needs a umask that another test sets"]
    fn makes_directories_for_another_test() {
        if let Some(dir) = std::env::var_os("LFCTL_TEST_DIR") {
            make_dirs(Path::new(&dir)).unwrap();
        }
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_new(&path, b"one", 0o600).unwrap();
        let error = write_new(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn replaces_content_and_sets_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/secrets.toml");
        write_atomically(&path, b"one", 0o600).unwrap();
        write_atomically(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
