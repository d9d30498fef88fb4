//! Directories and tar streams on their way into a snapshot and out of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use jiff::Timestamp;
use tar::EntryType;

use super::error::{RepositoryError, Result};
use super::read::{Entry, SnapshotReader};
use super::snapshot::Snapshot;
use super::tree::{Kind, Meta, names};
use super::write::SnapshotWriter;

/// Buffer between the tar of an engine and us.
const BUFFER: usize = 256 * 1024;
/// Files restored at a time; each holds up to four blobs.
const MAX_WORKERS: usize = 3;

impl SnapshotWriter<'_> {
    /// Adds what is in `source` below `path`. A file that the last snapshot has
    /// unchanged is not read. Files that go away meanwhile are left out, and so
    /// are devices, pipes and sockets.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Source`], or what [`SnapshotWriter::write_file`] says.
    pub fn write_directory(&mut self, path: &Path, source: &Path) -> Result<()> {
        let failed = |error| RepositoryError::Source {
            path: path.to_owned(),
            source: error,
        };
        let meta = std::fs::symlink_metadata(source).map_err(failed)?;
        if !names(path).is_some_and(|names| names.is_empty()) {
            self.add_directory(path, meta_of(&meta))?;
        }
        let mut directories = Vec::new();
        let listed: io::Result<BTreeMap<OsString, std::fs::DirEntry>> = std::fs::read_dir(source)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| (entry.file_name(), entry)))
            .collect();
        for (name, entry) in listed.map_err(failed)? {
            let (path, source) = (path.join(&name), entry.path());
            // Files before directories, so that the parent's is read once.
            if entry.file_type().map_err(failed)?.is_dir() {
                directories.push((path, source));
            } else {
                self.write_entry(&path, &source)?;
            }
        }
        for (path, source) in directories {
            self.write_directory(&path, &source)?;
        }
        Ok(())
    }

    fn write_entry(&mut self, path: &Path, source: &Path) -> Result<()> {
        let failed = |error| RepositoryError::Source {
            path: path.to_owned(),
            source: error,
        };
        let meta = match std::fs::symlink_metadata(source) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            meta => meta.map_err(failed)?,
        };
        if meta.is_symlink() {
            let target = std::fs::read_link(source).map_err(failed)?;
            return self.add_symlink(path, meta_of(&meta), target);
        }
        if !meta.is_file() || self.reuse_file(path, &meta_of(&meta), meta.len())? {
            return Ok(());
        }
        let mut file = match std::fs::File::open(source) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(failed)?,
        };
        let meta = file.metadata().map_err(failed)?;
        self.write_file(path, meta_of(&meta), &mut file).map(drop)
    }

    /// Adds the files of a tar stream below `path`, without the first `strip`
    /// names of each.
    ///
    /// # Errors
    ///
    /// The stream is cut off or no tar, or what [`SnapshotWriter::write_file`]
    /// says.
    pub fn write_tar(&mut self, path: &Path, source: &mut dyn Read, strip: usize) -> Result<()> {
        let failed = |source| RepositoryError::Source {
            path: path.to_owned(),
            source,
        };
        let source = io::BufReader::with_capacity(BUFFER, source);
        let mut archive = tar::Archive::new(source);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?.into_owned();
            let Some(inner) = stripped(&name, strip)? else {
                continue;
            };
            let to = path.join(inner);
            let meta = tar_meta(entry.header()).map_err(failed)?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    self.write_file(&to, meta, &mut entry)?;
                }
                EntryType::Directory => self.add_directory(&to, meta)?,
                EntryType::Symlink => {
                    let target = entry.link_name().map_err(failed)?;
                    self.add_symlink(&to, meta, target.unwrap_or_default().into_owned())?;
                }
                EntryType::Link => {
                    let target = entry.link_name().map_err(failed)?.unwrap_or_default();
                    let inner = stripped(&target, strip)?
                        .ok_or_else(|| RepositoryError::BadPath(to.clone()))?;
                    self.repeat_file(&path.join(inner), &to)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The path without its first names; `None` for the directories stripped.
fn stripped(path: &Path, strip: usize) -> Result<Option<PathBuf>> {
    let names = names(path).ok_or_else(|| RepositoryError::BadPath(path.to_owned()))?;
    let rest: PathBuf = names.iter().skip(strip).collect();
    Ok((!rest.as_os_str().is_empty()).then_some(rest))
}

fn meta_of(meta: &std::fs::Metadata) -> Meta {
    let time = |seconds: i64, nanoseconds: i64| {
        let nanoseconds = i32::try_from(nanoseconds).ok()?;
        Timestamp::new(seconds, nanoseconds).ok()
    };
    Meta {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        modified: time(meta.mtime(), meta.mtime_nsec()),
        changed: time(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
    }
}

fn tar_meta(header: &tar::Header) -> io::Result<Meta> {
    let small = |number: u64| u32::try_from(number).unwrap_or(0);
    let modified = i64::try_from(header.mtime()?).unwrap_or(0);
    Ok(Meta {
        mode: header.mode()?,
        uid: small(header.uid()?),
        gid: small(header.gid()?),
        modified: Timestamp::from_second(modified).ok(),
        ..Meta::default()
    })
}

impl SnapshotReader {
    /// The entries of a snapshot below `path`, each with its path from there.
    pub fn below<'a>(
        &self,
        snapshot: &Snapshot,
        path: &'a Path,
    ) -> impl Iterator<Item = Result<(PathBuf, Entry)>> + use<'a> {
        self.files(snapshot).filter_map(move |entry| match entry {
            Err(error) => Some(Err(error)),
            Ok(entry) => {
                let inner = entry.path.strip_prefix(path).ok()?.to_owned();
                (!inner.as_os_str().is_empty()).then_some(Ok((inner, entry)))
            }
        })
    }

    /// Writes what is below `path` into the directory `target`, with owners,
    /// modes and times, several files at a time. Nothing that is there is
    /// written over.
    ///
    /// # Errors
    ///
    /// A file is there already or cannot be written, or the snapshot is damaged.
    pub fn restore(&self, snapshot: &Snapshot, path: &Path, target: &Path) -> Result<u64> {
        let entries = Mutex::new(self.below(snapshot, path));
        let directories = Mutex::new(Vec::new());
        let bytes = AtomicU64::new(0);
        let failure = Mutex::new(None);
        let work = || -> Result<()> {
            // A directory is made under the lock, so before any file in it.
            while let Some((entry, to)) = next_file(&entries, target, &directories)? {
                if locked(&failure).is_some() {
                    break;
                }
                let written = self.restore_file(&entry, &to)?;
                bytes.fetch_add(written, Ordering::Relaxed);
            }
            Ok(())
        };
        let workers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_WORKERS);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    if let Err(error) = work() {
                        locked(&failure).get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = locked(&failure).take() {
            return Err(error);
        }
        // Owners and modes last: a directory may not let us in any more.
        for (to, meta) in locked(&directories).iter().rev() {
            let failed = |error| RepositoryError::io("write", to, error);
            own(to, meta).map_err(failed)?;
            let mode = std::fs::Permissions::from_mode(meta.mode);
            std::fs::set_permissions(to, mode).map_err(failed)?;
        }
        Ok(bytes.into_inner())
    }

    fn restore_file(&self, entry: &Entry, to: &Path) -> Result<u64> {
        let failed = |error| RepositoryError::io("write", to, error);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(failed)?;
        let mut bytes = 0;
        let mut reader = self.open(entry)?;
        while let Some(blob) = reader.next_blob()? {
            file.write_all(&blob).map_err(failed)?;
            bytes += blob.len() as u64;
        }
        own(to, &entry.meta).map_err(failed)?;
        let mode = std::fs::Permissions::from_mode(entry.meta.mode);
        file.set_permissions(mode).map_err(failed)?;
        if let Some(modified) = entry.meta.modified {
            file.set_modified(modified.into()).map_err(failed)?;
        }
        Ok(bytes)
    }

    /// Writes what is below `path` as a tar stream.
    ///
    /// # Errors
    ///
    /// `target` cannot be written, or the snapshot is damaged.
    pub fn write_tar(&self, snapshot: &Snapshot, path: &Path, target: impl Write) -> Result<u64> {
        let failed = |error| RepositoryError::from_stream(path, error);
        let mut bytes = 0;
        let mut builder = tar::Builder::new(target);
        for entry in self.below(snapshot, path) {
            let (inner, entry) = entry?;
            let mut header = entry.tar_header();
            match &entry.kind {
                Kind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, &inner, io::empty())
                }
                Kind::Symlink(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, &inner, target)
                }
                Kind::File => {
                    let size = self.size(&entry)?;
                    bytes += size;
                    header.set_size(size);
                    builder.append_data(&mut header, &inner, self.open(&entry)?)
                }
            }
            .map_err(failed)?;
        }
        builder
            .into_inner()
            .and_then(|mut target| target.flush())
            .map_err(failed)?;
        Ok(bytes)
    }
}

impl Entry {
    /// Owner, mode and time as a tar header, of no size yet.
    pub fn tar_header(&self) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.meta.mode);
        header.set_uid(self.meta.uid.into());
        header.set_gid(self.meta.gid.into());
        let modified = self.meta.modified.map_or(0, Timestamp::as_second);
        header.set_mtime(u64::try_from(modified).unwrap_or(0));
        header.set_size(0);
        header
    }
}

/// The next file to restore. Directories and links before it are made.
fn next_file(
    entries: &Mutex<impl Iterator<Item = Result<(PathBuf, Entry)>>>,
    target: &Path,
    directories: &Mutex<Vec<(PathBuf, Meta)>>,
) -> Result<Option<(Entry, PathBuf)>> {
    let mut entries = locked(entries);
    for entry in entries.by_ref() {
        let (inner, entry) = entry?;
        let to = target.join(inner);
        let failed = |error| RepositoryError::io("write", &to, error);
        match &entry.kind {
            Kind::File => return Ok(Some((entry, to))),
            Kind::Directory => {
                std::fs::DirBuilder::new()
                    .mode(0o700)
                    .create(&to)
                    .map_err(failed)?;
                locked(directories).push((to, entry.meta));
            }
            Kind::Symlink(link) => {
                std::os::unix::fs::symlink(link, &to).map_err(failed)?;
                own(&to, &entry.meta).map_err(failed)?;
            }
        }
    }
    Ok(None)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a file its owner, as far as we may.
fn own(path: &Path, meta: &Meta) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return std::os::unix::fs::lchown(path, Some(meta.uid), Some(meta.gid));
    }
    Ok(())
}
