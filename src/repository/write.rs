//! Writing a snapshot: files from readers, in the order that the caller gives.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Zoned;
use rustic_core::repofile::{BlobType, SnapshotFile};
use rustic_core::{
    BlobId, Credentials, DataId, FileType, Id, IndexedFullStatus, SnapshotOptions, TreeId,
};

use super::chunk::Chunker;
use super::cipher::{Hash, hash};
use super::error::{RepositoryError, Result};
use super::lock::{Lock, Sharing};
use super::pack::{Known, Pipeline};
use super::read::SnapshotReader;
use super::snapshot::{MANIFEST, Snapshot};
use super::tree::{Branch, Content, Kind, Meta};
use super::{Repository, library};

/// What a snapshot says of itself.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// The host; its own name if empty.
    pub host: String,
    /// Tags, without commas.
    pub tags: Vec<String>,
    /// The document that says what the snapshot holds, kept in it as
    /// `manifest.json`.
    pub manifest: Vec<u8>,
}

/// How much was read and added so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    /// Bytes read, or known to be unchanged.
    pub read: u64,
    /// Bytes that the repository did not hold yet, before compression. What is
    /// still in flight is not counted until [`SnapshotWriter::commit`].
    pub added: u64,
    /// Bytes written to the repository for them; 0 before the commit.
    pub stored: u64,
}

/// A snapshot under way. Holds a shared lock. Dropped without
/// [`SnapshotWriter::commit`] it leaves no snapshot, and the data that it wrote
/// is found again by the next one or removed by the next prune.
pub struct SnapshotWriter<'a> {
    repository: Repository,
    index: Arc<Index>,
    parent: Option<(SnapshotReader, Snapshot)>,
    pipeline: Pipeline,
    chunker: Chunker,
    root: Branch,
    started: Zoned,
    totals: Totals,
    progress: Box<dyn FnMut(Totals) + Send + 'a>,
    _lock: Lock,
}

impl std::fmt::Debug for SnapshotWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

/// The index as it was when the writer began.
struct Index(rustic_core::Repository<IndexedFullStatus>);

impl Known for Index {
    fn holds(&self, kind: BlobType, blob: &Hash) -> bool {
        let blob = BlobId::from(Id::new(*blob));
        match kind {
            BlobType::Data => self.0.get_index_entry(&DataId::from(blob)).is_ok(),
            BlobType::Tree => self.0.get_index_entry(&TreeId::from(blob)).is_ok(),
        }
    }
}

impl Repository {
    /// Begins a snapshot. `progress` hears of every chunk, on this thread.
    ///
    /// # Errors
    ///
    /// The repository is locked by a prune, or cannot be read or written.
    pub fn write_snapshot<'a>(
        &self,
        progress: impl FnMut(Totals) + Send + 'a,
    ) -> Result<SnapshotWriter<'a>> {
        let lock = Lock::acquire(&self.directory, &self.cipher, Sharing::Shared)?;
        let index = Arc::new(Index(self.indexed()?));
        let config = self.library.config();
        let polynomial = config
            .poly()
            .map_err(|error| RepositoryError::from_library(&error))?;
        let parent = self.snapshots()?.pop();
        let parent = parent
            .map(|parent| Ok::<_, RepositoryError>((self.reader()?, parent)))
            .transpose()?;
        let known: Arc<dyn Known> = Arc::<Index>::clone(&index);
        let pipeline = Pipeline::start(&self.directory, &self.cipher, BlobType::Data, known);
        Ok(SnapshotWriter {
            repository: self.clone(),
            index,
            parent,
            pipeline,
            chunker: Chunker::new(polynomial),
            root: Branch::default(),
            started: Zoned::now(),
            totals: Totals::default(),
            progress: Box::new(progress),
            _lock: lock,
        })
    }

    pub(super) fn indexed(&self) -> Result<rustic_core::Repository<IndexedFullStatus>> {
        // The library gives up the open repository for the indexed one, and is
        // opened anew by its key.
        library(&self.directory)?
            .open(&Credentials::Masterkey(self.library.key()))
            .and_then(rustic_core::Repository::to_indexed)
            .map_err(|error| RepositoryError::from_library(&error))
    }
}

impl SnapshotWriter<'_> {
    /// Adds a file from a reader and returns its size. The directories above it
    /// come by themselves.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Source`] if the reader fails; the snapshot cannot be
    /// committed without the file then, so drop the writer.
    pub fn write_file(&mut self, path: &Path, meta: Meta, source: &mut dyn Read) -> Result<u64> {
        let file = self.pipeline.next_file();
        let mut size = 0;
        self.chunker.restart();
        loop {
            let chunk = self
                .chunker
                .next(source)
                .map_err(|source| RepositoryError::Source {
                    path: path.to_owned(),
                    source,
                })?;
            let Some(chunk) = chunk else { break };
            size += chunk.len() as u64;
            self.totals.read += chunk.len() as u64;
            self.pipeline.add(file, chunk)?;
            self.report();
        }
        self.totals.files += 1;
        self.report();
        self.root.add_file(path, meta, size, Content::Sent(file))?;
        Ok(size)
    }

    /// Adds a file without reading it, if the last snapshot has it at this path
    /// with the same size, times and inode. For files of a filesystem only.
    ///
    /// # Errors
    ///
    /// The last snapshot cannot be read.
    pub fn reuse_file(&mut self, path: &Path, meta: &Meta, size: u64) -> Result<bool> {
        let Some((reader, parent)) = &self.parent else {
            return Ok(false);
        };
        let Some(entry) = reader.find(parent, path)? else {
            return Ok(false);
        };
        let is_same = entry.kind == Kind::File
            && entry.size == size
            && meta.inode != 0
            && entry.meta.inode == meta.inode
            && entry.meta.modified == meta.modified
            && entry.meta.changed == meta.changed;
        let held = entry.content.iter().flatten();
        if !is_same
            || !held
                .clone()
                .all(|id| self.index.holds(BlobType::Data, &bytes_of(id)))
        {
            return Ok(false);
        }
        let content = Content::Held(entry.content.clone().unwrap_or_default());
        self.root.add_file(path, meta.clone(), size, content)?;
        self.totals.files += 1;
        self.totals.read += size;
        self.report();
        Ok(true)
    }

    /// Adds a file of this snapshot a second time, as a hard link does.
    ///
    /// # Errors
    ///
    /// There is no such file, or the path is taken.
    pub fn repeat_file(&mut self, path: &Path, again: &Path) -> Result<()> {
        self.totals.files += 1;
        self.root.repeat_file(path, again)
    }

    /// Gives a directory its owner and mode.
    ///
    /// # Errors
    ///
    /// The path is a file already.
    pub fn add_directory(&mut self, path: &Path, meta: Meta) -> Result<()> {
        self.root.add_directory(path, meta)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    ///
    /// The path is taken already.
    pub fn add_symlink(&mut self, path: &Path, meta: Meta, target: PathBuf) -> Result<()> {
        self.root.add_symlink(path, meta, target)
    }

    /// Waits until all data is on disk, then writes the snapshot.
    ///
    /// # Errors
    ///
    /// Anything could not be written. There is no snapshot then.
    pub fn commit(mut self, description: &Description) -> Result<(Snapshot, Totals)> {
        let meta = Meta {
            modified: Some(self.started.timestamp()),
            ..Meta::default()
        };
        let manifest = &mut description.manifest.as_slice();
        self.write_file(Path::new(MANIFEST), meta, manifest)?;
        let data = self.pipeline.finish()?;
        let known: Arc<dyn Known> = self.index;
        let trees = Pipeline::start(
            &self.repository.directory,
            &self.repository.cipher,
            BlobType::Tree,
            known,
        );
        let file = trees.next_file();
        let tree = self
            .root
            .save(&data.contents, &mut |bytes, _| trees.add(file, bytes))?;
        let trees = trees.finish()?;
        let totals = Totals {
            added: data.added + trees.added,
            stored: data.packed + trees.packed,
            ..self.totals
        };
        let parent = self.parent.map(|(_, parent)| parent);
        let mut file = snapshot_file(description, &self.started, tree, totals)?;
        file.parent = parent.and_then(|parent| Some(parent.id.0.parse::<Id>().ok()?.into()));
        let plain = serde_json::to_vec(&file)
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        let sealed = self.repository.cipher.seal_file(&plain)?;
        let id = Id::new(hash(&sealed));
        let path = self.repository.directory.file(FileType::Snapshot, &id);
        self.repository
            .directory
            .write(&path, [sealed.as_slice()])?;
        file.id = id.into();
        Ok((file.into(), totals))
    }

    fn report(&mut self) {
        self.totals.added = self.pipeline.added();
        (self.progress)(self.totals);
    }
}

fn bytes_of(id: &DataId) -> Hash {
    let mut bytes = Hash::default();
    // An id is 64 hexadecimal digits by its type.
    let _ = hex::decode_to_slice(id.to_hex().as_str(), &mut bytes);
    bytes
}

fn snapshot_file(
    description: &Description,
    started: &Zoned,
    tree: TreeId,
    totals: Totals,
) -> Result<SnapshotFile> {
    let mut options = SnapshotOptions::default().time(Some(started.clone()));
    options.host = (!description.host.is_empty()).then(|| description.host.clone());
    let named = |error: Box<rustic_core::RusticError>| RepositoryError::from_library(&error);
    for tag in &description.tags {
        options = options.add_tags(tag).map_err(named)?;
    }
    let mut file = options.to_snapshot().map_err(named)?;
    concat!("lfctl ", env!("CARGO_PKG_VERSION")).clone_into(&mut file.program_version);
    file.paths = "/"
        .parse()
        .map_err(|error| RepositoryError::Format(format!("{error}")))?;
    file.tree = tree;
    let mut summary = file.summary.take().unwrap_or_default();
    summary.backup_start = started.clone();
    summary.backup_end = Zoned::now();
    summary.total_files_processed = totals.files;
    summary.total_bytes_processed = totals.read;
    summary.data_added = totals.added;
    summary.data_added_packed = totals.stored;
    file.summary = Some(summary);
    Ok(file)
}
