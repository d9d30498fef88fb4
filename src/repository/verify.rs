//! Reading every byte of a repository again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustic_core::repofile::{BlobType, IndexFile, IndexPack};
use rustic_core::{BlobId, FileType};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Repository;
use super::cipher::{Cipher, hash};
use super::error::{RepositoryError, Result};
use super::read::SnapshotReader;
use super::snapshot::Snapshot;
use super::tree::Kind;

/// Threads that read packs. Each holds one blob.
const READERS: usize = 4;
/// Bytes read at once of what is no blob.
const STEP: usize = 256 * 1024;

/// A file of the repository that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Damage {
    /// The file of the repository.
    pub path: PathBuf,
    pub what: String,
}

/// What was read, and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    /// Packs read.
    pub packs: u64,
    /// Bytes of packs read.
    pub bytes: u64,
    /// Blobs hashed.
    pub blobs: u64,
    /// Files of snapshots looked up.
    pub files: u64,
    /// Files of the repository that are damaged or missing.
    pub damaged: Vec<Damage>,
    /// Files of snapshots that cannot be restored whole.
    pub lost: Vec<PathBuf>,
    /// Snapshots with such files.
    pub broken: Vec<Snapshot>,
}

impl Verified {
    /// Whether every snapshot can be restored.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.broken.is_empty()
    }
}

/// What is known of one pack after reading it.
pub(super) struct Checked {
    bytes: u64,
    blobs: u64,
    bad: Vec<BlobId>,
    pub(super) damage: Option<Damage>,
}

impl Repository {
    /// Reads every pack of the index, hashes it and every blob in it, and looks
    /// up every file of every snapshot. `progress` hears of bytes read and of
    /// all there are, on this thread.
    ///
    /// # Errors
    ///
    /// The repository is locked by a prune, or the index or a directory cannot
    /// be read. Damage is no error but in the result.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> Result<Verified> {
        let reader = self.reader()?;
        let packs = self.packs()?;
        let mut verified = Verified::default();
        let mut bad = HashSet::new();
        for checked in self.check_packs(packs, &mut progress) {
            verified.packs += 1;
            verified.bytes += checked.bytes;
            verified.blobs += checked.blobs;
            verified.damaged.extend(checked.damage);
            bad.extend(checked.bad);
        }
        verified
            .damaged
            .sort_by(|one, other| one.path.cmp(&other.path));
        for snapshot in self.snapshots()? {
            verified.look_up(&reader, snapshot, &bad);
        }
        Ok(verified)
    }

    /// The packs of the index, by path.
    pub(super) fn packs(&self) -> Result<BTreeMap<PathBuf, IndexPack>> {
        let library = |error: Box<rustic_core::RusticError>| RepositoryError::from_library(&error);
        let mut packs = BTreeMap::new();
        for file in self.library.stream_files::<IndexFile>().map_err(library)? {
            let (_, file) = file.map_err(library)?;
            for pack in file.packs {
                packs.insert(self.directory.file(FileType::Pack, &pack.id), pack);
            }
        }
        Ok(packs)
    }

    fn check_packs(
        &self,
        packs: BTreeMap<PathBuf, IndexPack>,
        progress: &mut impl FnMut(u64, u64),
    ) -> Vec<Checked> {
        let packs: Vec<(PathBuf, IndexPack)> = packs.into_iter().collect();
        let total = packs
            .iter()
            .map(|(_, pack)| u64::from(pack.pack_size()))
            .sum();
        let next = AtomicUsize::new(0);
        let readers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(READERS);
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut all = Vec::with_capacity(packs.len());
        thread::scope(|scope| {
            for _ in 0..readers {
                let (sender, next, packs) = (sender.clone(), &next, &packs);
                scope.spawn(move || {
                    while let Some((path, pack)) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let checked = check_pack(&self.cipher, path, pack);
                        if sender.send(checked).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut done = 0;
            for checked in receiver {
                done += checked.bytes;
                progress(done, total);
                all.push(checked);
            }
        });
        all
    }
}

/// Reads a pack once, from its first byte to its last.
pub(super) fn check_pack(cipher: &Cipher, path: &Path, pack: &IndexPack) -> Checked {
    let mut checked = Checked {
        bytes: 0,
        blobs: 0,
        bad: Vec::new(),
        damage: None,
    };
    let mut blobs = pack.blobs.clone();
    blobs.sort();
    let done = &mut BTreeSet::new();
    let whole = read_pack(cipher, path, pack, &blobs, &mut checked, done);
    if let Err(what) = whole {
        let missed = blobs.iter().map(|blob| blob.id);
        checked
            .bad
            .extend(missed.filter(|blob| !done.contains(blob)));
        checked.damage.get_or_insert(Damage {
            path: path.to_owned(),
            what,
        });
    }
    checked
}

fn read_pack(
    cipher: &Cipher,
    path: &Path,
    pack: &IndexPack,
    blobs: &[rustic_core::repofile::IndexBlob],
    checked: &mut Checked,
    done: &mut BTreeSet<BlobId>,
) -> Result<(), String> {
    let mut file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })?;
    let mut hasher = Sha256::new();
    let mut read = |file: &mut std::fs::File, length: usize| -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
                _ => format!("it cannot be read: {error}"),
            })?;
        hasher.update(&bytes);
        checked.bytes += length as u64;
        Ok(bytes)
    };
    let mut position = 0;
    let mut damaged = 0;
    for blob in blobs {
        let at = blob.location;
        if at.offset != position {
            return Err("the index does not fit it".to_owned());
        }
        let sealed = read(&mut file, at.length as usize)?;
        let size = at.uncompressed_length.map(std::num::NonZeroU32::get);
        let plain = cipher.open_blob(&sealed, size);
        let name = blob.id.to_hex();
        if plain.is_some_and(|plain| hex::encode(hash(&plain)) == *name) {
            done.insert(blob.id);
        } else {
            damaged += 1;
        }
        checked.blobs += 1;
        position += at.length;
    }
    // Header and its length stand behind the blobs.
    let mut rest = u64::from(pack.pack_size()).saturating_sub(u64::from(position));
    while rest > 0 {
        let step = usize::try_from(rest).unwrap_or(STEP).min(STEP);
        read(&mut file, step)?;
        rest -= step as u64;
    }
    if damaged > 0 {
        return Err(format!("{damaged} of {} blobs are damaged", blobs.len()));
    }
    if hex::encode(hasher.finalize()) != *pack.id.to_hex() {
        return Err("its hash is not its name".to_owned());
    }
    Ok(())
}

impl Verified {
    fn look_up(&mut self, reader: &SnapshotReader, snapshot: Snapshot, bad: &HashSet<BlobId>) {
        let mut is_broken = false;
        for entry in reader.files(&snapshot) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.record(error);
                    is_broken = true;
                    continue;
                }
            };
            if entry.kind != Kind::File {
                continue;
            }
            self.files += 1;
            let blobs = entry.content.iter().flatten();
            let is_lost = blobs
                .map(|id| BlobId::from(*id))
                .any(|blob| bad.contains(&blob) || !reader.is_indexed(BlobType::Data, blob));
            if is_lost {
                is_broken = true;
                if !self.lost.contains(&entry.path) {
                    self.lost.push(entry.path);
                }
            }
        }
        if is_broken {
            self.broken.push(snapshot);
        }
    }

    /// Lists what stands in the way of reading a directory, unless it is listed.
    fn record(&mut self, error: RepositoryError) {
        let (path, what) = match error {
            RepositoryError::Damaged { path, what } => (path, what),
            RepositoryError::NotIndexed { path, blob } => {
                (path, format!("blob {blob} is not listed"))
            }
            RepositoryError::BadPath(path) => (path, "it leads out of the snapshot".to_owned()),
            other => (PathBuf::new(), other.to_string()),
        };
        if !self.damaged.iter().any(|damage| damage.path == path) {
            self.damaged.push(Damage { path, what });
        }
    }
}
