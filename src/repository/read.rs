//! Reading a snapshot: its files, and the bytes of each.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustic_core::repofile::{BlobType, Node};
use rustic_core::{BlobId, DataId, FileType, IndexedFullStatus, PackedId, TreeId};

use super::Repository;
use super::cipher::hash;
use super::error::{RepositoryError, Result};
use super::lock::Lock;
use super::snapshot::{MANIFEST, Snapshot};
use super::tree::{Kind, Meta, kind_of, meta_of, names};

/// Blobs that are decrypted before they are asked for.
const AHEAD: usize = 2;

/// A file, directory or link of a snapshot.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it is in the snapshot.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Size of a file.
    pub size: u64,
    /// Owner, mode and times.
    pub meta: Meta,
    pub(super) content: Option<Vec<DataId>>,
    pub(super) subtree: Option<TreeId>,
}

impl Entry {
    /// `None` for devices, pipes and sockets, which we do not write.
    fn new(directory: &Path, node: Node) -> Option<Self> {
        Some(Self {
            path: directory.join(node.name()),
            kind: kind_of(&node)?,
            size: node.meta.size,
            meta: meta_of(&node),
            content: node.content,
            subtree: node.subtree,
        })
    }
}

/// Reads the snapshots of a repository. Holds a shared lock where the medium
/// can be written.
#[derive(Clone)]
pub struct SnapshotReader(Arc<Inner>);

struct Inner {
    repository: Repository,
    index: rustic_core::Repository<IndexedFullStatus>,
    /// The directories on the way to the one that was looked into last.
    last: Mutex<Looked>,
    _lock: Option<Lock>,
}

/// Directories from the root of a tree down, each under its name.
#[derive(Default)]
struct Looked {
    root: Option<TreeId>,
    way: Vec<(OsString, Arc<Vec<Node>>)>,
}

impl std::fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotReader(..)")
    }
}

impl Repository {
    /// Reads the index, to read snapshots.
    ///
    /// # Errors
    ///
    /// The repository is locked by a prune, or cannot be read.
    pub fn reader(&self) -> Result<SnapshotReader> {
        let lock = Lock::acquire_for_reading(&self.directory, &self.cipher)?;
        Ok(SnapshotReader(Arc::new(Inner {
            repository: self.clone(),
            index: self.indexed()?,
            last: Mutex::default(),
            _lock: lock,
        })))
    }
}

impl SnapshotReader {
    /// All files of a snapshot, a directory before what is in it. Holds one
    /// directory of each level in memory.
    pub fn files(&self, snapshot: &Snapshot) -> Files {
        Files {
            reader: self.clone(),
            pending: vec![Pending::Tree(PathBuf::new(), snapshot.tree)],
        }
    }

    /// The files below a directory; none where there is no such directory.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be read.
    pub fn files_below(&self, snapshot: &Snapshot, directory: &Path) -> Result<Files> {
        let tree = self.find(snapshot, directory)?.and_then(|it| it.subtree);
        let pending = tree.map(|tree| Pending::Tree(directory.to_owned(), tree));
        let (reader, pending) = (self.clone(), pending.into_iter().collect());
        Ok(Files { reader, pending })
    }

    /// The file at `path`, if the snapshot has it.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be read.
    pub fn find(&self, snapshot: &Snapshot, path: &Path) -> Result<Option<Entry>> {
        let bad = || RepositoryError::BadPath(path.to_owned());
        let names = names(path).ok_or_else(bad)?;
        let (name, directories) = names.split_last().ok_or_else(bad)?;
        let directory: PathBuf = directories.iter().collect();
        let Some(nodes) = self.directory(snapshot, &directory)? else {
            return Ok(None);
        };
        let place = nodes.binary_search_by(|node| (*node.name()).cmp(*name));
        let found = place.ok().and_then(|place| nodes.get(place).cloned());
        Ok(found.and_then(|node| Entry::new(&directory, node)))
    }

    fn directory(&self, snapshot: &Snapshot, path: &Path) -> Result<Option<Arc<Vec<Node>>>> {
        let mut looked = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.root != Some(snapshot.tree) {
            let root = Arc::new(self.tree(snapshot.tree)?);
            looked.way = vec![(OsString::new(), root)];
            looked.root = Some(snapshot.tree);
        }
        let same = looked.way.iter().skip(1).zip(path);
        let same = same.take_while(|((known, _), name)| known == name).count();
        looked.way.truncate(same + 1);
        for name in path.iter().skip(same) {
            let above = looked.way.last().map(|(_, nodes)| Arc::clone(nodes));
            let mut nodes = above.iter().flat_map(|nodes| nodes.iter());
            let next = nodes.find(|node| node.name() == name);
            let Some(subtree) = next.and_then(|node| node.subtree) else {
                return Ok(None);
            };
            let below = Arc::new(self.tree(subtree)?);
            looked.way.push((name.to_owned(), below));
        }
        Ok(looked.way.last().map(|(_, nodes)| Arc::clone(nodes)))
    }

    /// Opens a file for reading. Every blob is decrypted, and hashed again.
    ///
    /// # Errors
    ///
    /// It is no file.
    pub fn open(&self, entry: &Entry) -> Result<FileReader> {
        let Some(content) = entry.content.clone() else {
            return Err(RepositoryError::BadPath(entry.path.clone()));
        };
        if content.len() < 2 {
            let blobs = content.iter().map(|id| self.blob(id)).collect();
            return Ok(FileReader::new(Source::Held(blobs)));
        }
        let left = content.len();
        let (sender, receiver) = mpsc::sync_channel(AHEAD - 1);
        let reader = self.clone();
        thread::spawn(move || {
            for id in content {
                let blob = reader.blob(&id);
                let failed = blob.is_err();
                if sender.send(blob).is_err() || failed {
                    return;
                }
            }
        });
        Ok(FileReader::new(Source::Ahead { left, receiver }))
    }

    /// The size of a file by its blobs; a program that did not know it before
    /// may have written another.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NotIndexed`].
    pub fn size(&self, entry: &Entry) -> Result<u64> {
        let blobs = entry.content.iter().flatten();
        blobs.map(|id| Ok(u64::from(self.place(id)?.size))).sum()
    }

    /// The manifest of a snapshot, if it has one.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be read.
    pub fn manifest(&self, snapshot: &Snapshot) -> Result<Option<Vec<u8>>> {
        let path = Path::new(MANIFEST);
        let Some(entry) = self.find(snapshot, path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let mut file = self.open(&entry)?;
        while let Some(blob) = file.next_blob()? {
            bytes.extend_from_slice(&blob);
        }
        Ok(Some(bytes))
    }

    pub(super) fn tree(&self, id: TreeId) -> Result<Vec<Node>> {
        let bytes = self.blob(&id)?;
        let tree: rustic_core::repofile::Tree = serde_json::from_slice(&bytes)
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        Ok(tree.nodes)
    }

    /// Whether the index names the blob.
    pub(super) fn is_indexed(&self, kind: BlobType, blob: BlobId) -> bool {
        match kind {
            BlobType::Data => self.0.index.get_index_entry(&DataId::from(blob)).is_ok(),
            BlobType::Tree => self.0.index.get_index_entry(&TreeId::from(blob)).is_ok(),
        }
    }

    /// Reads a blob and compares it with its name.
    pub(super) fn blob<T: PackedId>(&self, id: &T) -> Result<Vec<u8>> {
        let place = self.place(id)?;
        let blob: BlobId = (*id).into();
        let name = blob.to_hex();
        let Repository {
            directory, cipher, ..
        } = &self.0.repository;
        let sealed = directory.read_range(&place.path, place.offset, place.length)?;
        cipher
            .open_blob(&sealed, place.inflated)
            .filter(|plain| hex::encode(hash(plain)) == *name)
            .ok_or_else(|| RepositoryError::Damaged {
                path: place.path,
                what: format!("blob {} is not what was written", &name[..8]),
            })
    }

    fn place<T: PackedId>(&self, id: &T) -> Result<Place> {
        let Inner {
            repository, index, ..
        } = &*self.0;
        let entry = index.get_index_entry(id).map_err(|_| {
            let blob: BlobId = (*id).into();
            RepositoryError::NotIndexed {
                path: repository.path().join("index"),
                blob: blob.to_hex().to_string(),
            }
        })?;
        Ok(Place {
            path: repository.directory.file(FileType::Pack, &entry.pack),
            offset: entry.location.offset,
            length: entry.location.length,
            inflated: entry.location.uncompressed_length.map(NonZeroU32::get),
            size: entry.data_length(),
        })
    }
}

/// Where a blob is.
struct Place {
    path: PathBuf,
    offset: u32,
    length: u32,
    /// Its size, if it is compressed.
    inflated: Option<u32>,
    size: u32,
}

enum Pending {
    Tree(PathBuf, TreeId),
    Node(PathBuf, Box<Node>),
}

/// The files of a snapshot.
pub struct Files {
    reader: SnapshotReader,
    pending: Vec<Pending>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files(..)")
    }
}

impl Iterator for Files {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (directory, node) = match self.pending.pop()? {
                Pending::Node(directory, node) => (directory, *node),
                Pending::Tree(path, id) => {
                    match self.reader.tree(id) {
                        Ok(nodes) => {
                            let nodes = nodes.into_iter().rev();
                            let nodes =
                                nodes.map(|node| Pending::Node(path.clone(), Box::new(node)));
                            self.pending.extend(nodes);
                        }
                        Err(error) => return Some(Err(error)),
                    }
                    continue;
                }
            };
            let Some(entry) = Entry::new(&directory, node) else {
                continue;
            };
            // A name with a slash or `..` is nothing that a backup writes, and
            // would lead a restore elsewhere.
            if names(&entry.path)
                .is_none_or(|names| names.iter().collect::<PathBuf>() != entry.path)
            {
                return Some(Err(RepositoryError::BadPath(entry.path)));
            }
            if let Some(subtree) = entry.subtree {
                self.pending
                    .push(Pending::Tree(entry.path.clone(), subtree));
            }
            return Some(Ok(entry));
        }
    }
}

enum Source {
    Held(VecDeque<Result<Vec<u8>>>),
    Ahead {
        left: usize,
        receiver: Receiver<Result<Vec<u8>>>,
    },
}

/// The bytes of a file. An error of the repository comes out as an
/// [`io::Error`] around a [`RepositoryError`].
pub struct FileReader {
    source: Source,
    blob: io::Cursor<Vec<u8>>,
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileReader(..)")
    }
}

impl FileReader {
    fn new(source: Source) -> Self {
        Self {
            source,
            blob: io::Cursor::default(),
        }
    }

    /// The next piece of the file, of at most 8 MiB; `None` at its end. Not to
    /// be mixed with [`Read`].
    ///
    /// # Errors
    ///
    /// The piece is damaged or cannot be read.
    pub fn next_blob(&mut self) -> Result<Option<Vec<u8>>> {
        match &mut self.source {
            Source::Held(blobs) => blobs.pop_front().transpose(),
            Source::Ahead { left: 0, .. } => Ok(None),
            Source::Ahead { left, receiver } => {
                *left -= 1;
                // A thread that died has not reached the end of the file.
                let blob = receiver.recv().map_err(|_| RepositoryError::Stopped)?;
                blob.map(Some)
            }
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.blob.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.next_blob() {
                Ok(Some(blob)) => self.blob = io::Cursor::new(blob),
                Ok(None) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}
