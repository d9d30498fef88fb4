//! The directory that holds a repository, as restic's local backend lays it
//! out.
//!
//! `rustic_backend` has one too, but it answers an unreadable directory with an
//! empty list, makes directories that went away with an unmount, and does not
//! sync a rename. Needs no hard links: a file is written beside and renamed.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};
use rustix::io::Errno;

use super::error::{RepositoryError, Result};

/// Directories of a repository.
const DIRECTORIES: &[&str] = &["data", "index", "keys", "locks", "snapshots"];

/// The directory of a repository.
#[derive(Debug, Clone)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    pub(super) fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// Where a file is, or is to be.
    pub(super) fn file(&self, kind: FileType, id: &Id) -> PathBuf {
        let name = id.to_hex();
        match kind {
            FileType::Config => self.config(),
            FileType::Pack => self.0.join("data").join(&name[..2]).join(name),
            kind => self.0.join(kind.dirname()).join(name),
        }
    }

    /// Makes the directories of a new repository. A directory that holds
    /// anything else is refused; what an interrupted run left is not.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.config().exists() {
            return Err(RepositoryError::Exists(self.0.clone()));
        }
        make_directory(&self.0)?;
        for entry in self.names(&self.0)? {
            let name = entry.to_string_lossy().into_owned();
            if !DIRECTORIES.contains(&name.as_str()) && name != "lost+found" {
                return Err(RepositoryError::NotEmpty {
                    path: self.0.clone(),
                    found: name,
                });
            }
        }
        for name in DIRECTORIES {
            make_directory(&self.0.join(name))?;
        }
        if !self.list_files(FileType::Pack)?.is_empty() {
            return Err(RepositoryError::Damaged {
                path: self.config(),
                what: "the file is missing, but there are packs".to_owned(),
            });
        }
        for (id, _) in self.list_files(FileType::Key)? {
            self.delete(&self.file(FileType::Key, &id))?;
        }
        Ok(())
    }

    /// Whether a repository is there.
    pub(super) fn check_present(&self) -> Result<()> {
        match std::fs::metadata(self.config()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RepositoryError::NotFound(self.0.clone()))
            }
            Err(error) => Err(RepositoryError::io("read", &self.config(), error)),
        }
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        std::fs::read(path).map_err(|error| self.lost("read", path, error))
    }

    pub(super) fn read_range(&self, path: &Path, offset: u32, length: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        let mut file = std::fs::File::open(path).map_err(|error| self.lost("read", path, error))?;
        file.seek(SeekFrom::Start(offset.into()))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => RepositoryError::Damaged {
                    path: path.to_owned(),
                    what: "it is cut short".to_owned(),
                },
                _ => self.lost("read", path, error),
            })?;
        Ok(bytes)
    }

    /// Writes a file whole or not at all, and so that it survives a power cut.
    pub(super) fn write<'a>(
        &self,
        path: &Path,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<()> {
        let parent = path.parent().unwrap_or(&self.0);
        let beside = path.with_extension("tmp");
        let written = self.write_beside(parent, &beside, parts).and_then(|()| {
            std::fs::rename(&beside, path).map_err(|error| self.lost("write", path, error))
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        sync_directory(parent)
    }

    fn write_beside<'a>(
        &self,
        parent: &Path,
        beside: &Path,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<()> {
        let open = || {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(beside)
        };
        let mut file = match open() {
            // `data/xx` is made with its first pack, the rest of the tree never:
            // it would land below an empty mount point.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && parent.parent() == Some(&self.0.join("data")) =>
            {
                self.make_shelf(parent)?;
                open()
            }
            other => other,
        }
        .map_err(|error| self.lost("write", beside, error))?;
        for part in parts {
            file.write_all(part)
                .map_err(|error| self.lost("write", beside, error))?;
        }
        file.sync_all()
            .map_err(|error| self.lost("write", beside, error))
    }

    fn make_shelf(&self, path: &Path) -> Result<()> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.lost("make", path, error))
            }
            _ => sync_directory(&self.0.join("data")),
        }
    }

    /// Removes a file. Gone already is not an error.
    pub(super) fn delete(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.lost("remove", path, error)),
            Ok(()) => Ok(()),
        }
    }

    /// Ids and sizes of the files of a kind.
    pub(super) fn list_files(&self, kind: FileType) -> Result<Vec<(Id, u32)>> {
        let top = self.0.join(kind.dirname());
        let mut found = Vec::new();
        let mut shelves = vec![top];
        while let Some(shelf) = shelves.pop() {
            for name in self.names(&shelf)? {
                let path = shelf.join(&name);
                let Ok(id) = name.to_string_lossy().parse::<Id>() else {
                    if kind == FileType::Pack && name.len() == 2 {
                        shelves.push(path);
                    }
                    continue;
                };
                let size = match std::fs::metadata(&path) {
                    Ok(meta) => meta.len(),
                    // A lock or a pack that another program just removed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(self.lost("read", &path, error)),
                };
                found.push((id, u32::try_from(size).unwrap_or(u32::MAX)));
            }
        }
        Ok(found)
    }

    pub(super) fn names(&self, directory: &Path) -> Result<Vec<std::ffi::OsString>> {
        let list = || -> io::Result<_> {
            std::fs::read_dir(directory)?
                .map(|entry| Ok(entry?.file_name()))
                .collect()
        };
        list().map_err(|error| self.lost("read", directory, error))
    }

    /// Tells a repository that went away from a file that did.
    fn lost(&self, action: &'static str, path: &Path, error: io::Error) -> RepositoryError {
        if error.kind() == io::ErrorKind::NotFound && !self.config().exists() {
            return RepositoryError::Gone(self.0.clone());
        }
        if error.kind() == io::ErrorKind::NotFound && action == "read" {
            return RepositoryError::Damaged {
                path: path.to_owned(),
                what: "the file is missing".to_owned(),
            };
        }
        RepositoryError::io(action, path, error)
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(RepositoryError::io("make", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes renames in `path` survive a power cut, where the filesystem can.
fn sync_directory(path: &Path) -> Result<()> {
    let synced = std::fs::File::open(path).and_then(|directory| directory.sync_all());
    match synced {
        Err(error)
            if !matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF)
            ) =>
        {
            Err(RepositoryError::io("write", path, error))
        }
        _ => Ok(()),
    }
}

/// Carries one of our errors through the library.
fn carried(error: RepositoryError) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, "failed to use the directory", error)
}

impl ReadBackend for Directory {
    fn location(&self) -> String {
        self.0.display().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            return Ok(self
                .config()
                .exists()
                .then(|| (Id::default(), 0))
                .into_iter()
                .collect());
        }
        self.list_files(kind).map_err(carried)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.read(&self.file(kind, id))
            .map(Bytes::from)
            .map_err(carried)
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.read_range(&self.file(kind, id), offset, length)
            .map(Bytes::from)
            .map_err(carried)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.file(kind, id).display().to_string()
    }
}

impl WriteBackend for Directory {
    fn create(&self) -> RusticResult<()> {
        self.prepare().map_err(carried)
    }

    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let parts = content.slice().iter().map(AsRef::as_ref);
        self.write(&self.file(kind, id), parts).map_err(carried)
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        self.delete(&self.file(kind, id)).map_err(carried)
    }
}
