//! The way of blobs into pack files: workers hash, compress and encrypt, one
//! thread fills packs, one writes them and the index.
//!
//! Memory is bounded by what may be in flight, whatever the size of the data:
//! a chunk of at most 8 MiB in each queue place and worker, and three packs.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustic_core::repofile::BlobType;
use rustic_core::{FileType, Id};
use serde::Serialize;

use super::cipher::{Cipher, Hash, Squeeze, hash};
use super::directory::Directory;
use super::error::{RepositoryError, Result};

/// Size at which a pack is written.
const PACK: usize = 16 * 1024 * 1024;
/// Blobs in a pack, so that its header stays small.
const PACK_BLOBS: usize = 10_000;
/// Blobs in an index file.
const INDEX_BLOBS: usize = 40_000;
/// Packs after which what is written is indexed, so that an interrupted run
/// finds it again: 1 GiB.
const INDEX_PACKS: usize = 64;
/// Workers at most; more would only hold more memory.
const MAX_WORKERS: usize = 4;

/// Tells whether the repository holds a blob already.
pub(super) trait Known: Send + Sync {
    fn holds(&self, kind: BlobType, blob: &Hash) -> bool;
}

/// A blob on its way: which one of which file.
struct Job {
    file: usize,
    place: usize,
    data: Vec<u8>,
}

/// A blob that is ready for a pack.
struct Sealed {
    id: Hash,
    size: u32,
    bytes: Vec<u8>,
}

/// A full pack.
struct Pack {
    parts: Vec<Vec<u8>>,
    blobs: Vec<IndexBlob>,
}

/// What all threads see.
struct Shared {
    cipher: Cipher,
    directory: Directory,
    kind: BlobType,
    known: Arc<dyn Known>,
    seen: Mutex<HashSet<Hash>>,
    contents: Mutex<Vec<Vec<Hash>>>,
    failure: Mutex<Option<RepositoryError>>,
    added: AtomicU64,
    packed: AtomicU64,
}

/// Blobs of one kind on their way into packs.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a finished pipeline wrote.
pub(super) struct Stored {
    /// For each file the ids of its blobs, in order.
    pub(super) contents: Vec<Vec<Hash>>,
    /// Bytes of new blobs before compression.
    pub(super) added: u64,
    /// Bytes of the packs written for them.
    pub(super) packed: u64,
}

impl Pipeline {
    pub(super) fn start(
        directory: &Directory,
        cipher: &Cipher,
        kind: BlobType,
        known: Arc<dyn Known>,
    ) -> Self {
        let shared = Arc::new(Shared {
            cipher: cipher.clone(),
            directory: directory.clone(),
            kind,
            known,
            seen: Mutex::default(),
            contents: Mutex::default(),
            failure: Mutex::default(),
            added: AtomicU64::new(0),
            packed: AtomicU64::new(0),
        });
        let workers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_WORKERS);
        let (jobs, job) = mpsc::sync_channel(workers);
        let (sealed, ready) = mpsc::sync_channel(1);
        let (full, packs) = mpsc::sync_channel(1);
        let job = Arc::new(Mutex::new(job));
        let mut threads = Vec::new();
        for _ in 0..workers {
            let (job, sealed) = (Arc::clone(&job), sealed.clone());
            threads.push(shared.spawn(move |shared| seal(shared, &job, &sealed)));
        }
        drop(sealed);
        threads.push(shared.spawn(move |shared| fill(shared, &ready, &full)));
        threads.push(shared.spawn(move |shared| store(shared, &packs)));
        Self {
            shared,
            jobs: Some(jobs),
            threads,
        }
    }

    /// A number for the next file.
    pub(super) fn next_file(&self) -> usize {
        let mut contents = locked(&self.shared.contents);
        contents.push(Vec::new());
        contents.len() - 1
    }

    /// Sends the next blob of a file.
    pub(super) fn add(&self, file: usize, data: Vec<u8>) -> Result<()> {
        let place = {
            let mut contents = locked(&self.shared.contents);
            contents[file].push(Hash::default());
            contents[file].len() - 1
        };
        let job = Job { file, place, data };
        match &self.jobs {
            Some(jobs) if jobs.send(job).is_ok() => Ok(()),
            _ => Err(self.shared.why()),
        }
    }

    /// Bytes of new blobs so far.
    pub(super) fn added(&self) -> u64 {
        self.shared.added.load(Ordering::Relaxed)
    }

    /// Waits until everything is written and indexed.
    pub(super) fn finish(mut self) -> Result<Stored> {
        self.join();
        if let Some(failure) = locked(&self.shared.failure).take() {
            return Err(failure);
        }
        Ok(Stored {
            contents: std::mem::take(&mut *locked(&self.shared.contents)),
            added: self.added(),
            packed: self.shared.packed.load(Ordering::Relaxed),
        })
    }

    fn join(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.fail(RepositoryError::Stopped);
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn spawn(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            if let Err(error) = work(&shared) {
                shared.fail(error);
            }
        })
    }

    /// Keeps the first failure.
    fn fail(&self, error: RepositoryError) {
        let mut failure = locked(&self.failure);
        // A thread that stopped because another one did knows less.
        if failure.is_none() || matches!(*failure, Some(RepositoryError::Stopped)) {
            *failure = Some(error);
        }
    }

    fn why(&self) -> RepositoryError {
        locked(&self.failure)
            .as_ref()
            .map_or(RepositoryError::Stopped, RepositoryError::duplicate)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seal(shared: &Shared, jobs: &Mutex<Receiver<Job>>, sealed: &SyncSender<Sealed>) -> Result<()> {
    let mut squeeze = Squeeze::new()?;
    loop {
        let received = locked(jobs).recv();
        let Ok(job) = received else { return Ok(()) };
        let id = hash(&job.data);
        locked(&shared.contents)[job.file][job.place] = id;
        if shared.known.holds(shared.kind, &id) || !locked(&shared.seen).insert(id) {
            continue;
        }
        let size = job.data.len();
        shared.added.fetch_add(size as u64, Ordering::Relaxed);
        let blob = Sealed {
            id,
            size: u32::try_from(size)
                .map_err(|error| RepositoryError::Format(error.to_string()))?,
            bytes: shared.cipher.seal_blob(&mut squeeze, &job.data)?,
        };
        drop(job);
        sealed.send(blob).map_err(|_| RepositoryError::Stopped)?;
    }
}

fn fill(shared: &Shared, ready: &Receiver<Sealed>, full: &SyncSender<Pack>) -> Result<()> {
    let mut pack = Pack::empty();
    let mut size = 0;
    for blob in ready {
        let length = u32::try_from(blob.bytes.len())
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        pack.blobs.push(IndexBlob {
            id: blob.id,
            kind: shared.kind,
            offset: size,
            length,
            uncompressed_length: blob.size,
        });
        pack.parts.push(blob.bytes);
        size += length;
        if size as usize >= PACK || pack.blobs.len() >= PACK_BLOBS {
            let next = std::mem::replace(&mut pack, Pack::empty());
            full.send(next).map_err(|_| RepositoryError::Stopped)?;
            size = 0;
        }
    }
    if pack.blobs.is_empty() {
        return Ok(());
    }
    full.send(pack).map_err(|_| RepositoryError::Stopped)
}

fn store(shared: &Shared, packs: &Receiver<Pack>) -> Result<()> {
    let mut index = Index::default();
    let written = packs.iter().try_for_each(|pack| {
        index.packs.push(pack.write(shared)?);
        if index.blobs() >= INDEX_BLOBS || index.packs.len() >= INDEX_PACKS {
            index.write(shared)?;
        }
        Ok(())
    });
    // What is written is worth keeping for the next run even after a failure.
    let indexed = index.write(shared);
    written.and(indexed)
}

impl Pack {
    fn empty() -> Self {
        Self {
            parts: Vec::new(),
            blobs: Vec::new(),
        }
    }

    fn write(mut self, shared: &Shared) -> Result<IndexPack> {
        let header = shared.cipher.seal(&header(&self.blobs))?;
        let length = u32::try_from(header.len())
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        self.parts.push(header);
        self.parts.push(length.to_le_bytes().to_vec());
        let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
        let mut size = 0;
        for part in &self.parts {
            sha2::Digest::update(&mut hasher, part);
            size += part.len() as u64;
        }
        let id: Hash = sha2::Digest::finalize(hasher).into();
        let path = shared.directory.file(FileType::Pack, &Id::new(id));
        let parts = self.parts.iter().map(Vec::as_slice);
        shared.directory.write(&path, parts)?;
        shared.packed.fetch_add(size, Ordering::Relaxed);
        Ok(IndexPack {
            id,
            blobs: self.blobs,
        })
    }
}

/// The list of blobs at the end of a pack.
fn header(blobs: &[IndexBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * 41);
    for blob in blobs {
        header.push(match blob.kind {
            BlobType::Data => 2,
            BlobType::Tree => 3,
        });
        header.extend_from_slice(&blob.length.to_le_bytes());
        header.extend_from_slice(&blob.uncompressed_length.to_le_bytes());
        header.extend_from_slice(&blob.id);
    }
    header
}

/// An index file: which blob is where in which pack.
#[derive(Default, Serialize)]
struct Index {
    packs: Vec<IndexPack>,
}

#[derive(Serialize)]
struct IndexPack {
    #[serde(serialize_with = "hex::serde::serialize")]
    id: Hash,
    blobs: Vec<IndexBlob>,
}

#[derive(Serialize)]
struct IndexBlob {
    #[serde(serialize_with = "hex::serde::serialize")]
    id: Hash,
    #[serde(rename = "type")]
    kind: BlobType,
    offset: u32,
    length: u32,
    uncompressed_length: u32,
}

impl Index {
    fn blobs(&self) -> usize {
        self.packs.iter().map(|pack| pack.blobs.len()).sum()
    }

    fn write(&mut self, shared: &Shared) -> Result<()> {
        if self.packs.is_empty() {
            return Ok(());
        }
        let plain =
            serde_json::to_vec(self).map_err(|error| RepositoryError::Format(error.to_string()))?;
        let sealed = shared.cipher.seal_file(&plain)?;
        let id = Id::new(hash(&sealed));
        let path = shared.directory.file(FileType::Index, &id);
        shared.directory.write(&path, [sealed.as_slice()])?;
        self.packs.clear();
        Ok(())
    }
}
