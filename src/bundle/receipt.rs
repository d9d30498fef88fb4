//! Verifying a whole bundle, and the receipt for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::manifest::{Platform, Release};
use super::open::{Bundle, OpenError, blob_error};
use crate::oci::digest::Digest;
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sign::KeyId;

/// Bytes that a hashing thread holds.
const CHUNK: usize = 256 << 10;
/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(100);

/// What was verified, for whoever has to show it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Receipt {
    /// The file.
    pub file: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Digest of `index.json`, which commits to every other byte.
    pub index: Digest,
    /// The key that signed it; none when it was trusted blindly.
    pub key_id: Option<KeyId>,
    /// The release.
    pub release: Release,
    /// The platform of its images.
    pub platform: Platform,
    /// When it was made.
    pub created: Timestamp,
    /// Number of images.
    pub images: usize,
    /// Number of distinct layers.
    pub layers: usize,
    /// Number of blobs, with all documents.
    pub blobs: usize,
    /// Bytes of the distinct layers.
    pub layer_bytes: u64,
    /// Bytes of all images once unpacked.
    pub unpacked_bytes: u64,
    /// When it was verified.
    pub verified_at: Timestamp,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bundle      {}", self.file.display())?;
        writeln!(
            f,
            "release     {} (counter {})",
            self.release, self.release.counter
        )?;
        writeln!(f, "platform    {}", self.platform)?;
        writeln!(f, "created     {}", self.created)?;
        match self.key_id {
            Some(key) => writeln!(f, "signed by   key {key}")?,
            None => writeln!(f, "signed by   NOT CHECKED")?,
        }
        writeln!(f, "index       {}", self.index)?;
        writeln!(
            f,
            "content     {} images, {} layers, {} blobs; every digest is right",
            self.images, self.layers, self.blobs
        )?;
        writeln!(
            f,
            "size        {} bytes; layers {} bytes, {} unpacked",
            self.size, self.layer_bytes, self.unpacked_bytes
        )?;
        write!(f, "verified    {}", self.verified_at)
    }
}

impl Bundle {
    /// Hashes every layer and the SBOM, on all cores, in constant memory. The documents
    /// were hashed when the bundle was opened.
    pub fn verify_blobs(&self, reporter: &dyn Reporter) -> Result<Receipt, OpenError> {
        let layer_bytes = self.layers().map(|(_, size)| size).sum();
        let count = self.layers().count();
        let mut unread: Vec<_> = self.unread().collect();
        let progress = Step::sized(
            reporter,
            "verify-blobs",
            "Verifying every byte",
            Some(unread.iter().map(|(_, size)| size).sum()),
            Unit::Bytes,
        );
        // The largest last, since threads take from the end.
        unread.sort_by_key(|(_, size)| *size);
        self.hash_all(unread, &progress)?;
        progress.finish(Outcome::Done, Some(format!("{count} layers are right")));
        let manifest = self.manifest();
        Ok(Receipt {
            file: self.path().to_owned(),
            size: self.size(),
            index: self.digest(),
            key_id: self.key_id(),
            release: manifest.release.clone(),
            platform: manifest.platform.clone(),
            created: manifest.created,
            images: super::documents::by_reference(manifest).len(),
            layers: count,
            blobs: self.blob_count(),
            layer_bytes,
            unpacked_bytes: manifest.unpacked_bytes(),
            verified_at: Timestamp::now(),
        })
    }

    fn hash_all(&self, blobs: Vec<(Digest, u64)>, progress: &Step<'_>) -> Result<(), OpenError> {
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(blobs.len());
        let queue = Mutex::new(blobs);
        let done = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let (sender, results) = channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let sender = sender.clone();
                let (queue, done, stop) = (&queue, &done, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                        let Some((digest, _)) = next else { break };
                        let result = self.hash(&digest, done, stop);
                        if sender.send(result).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let verdict = loop {
                match results.recv_timeout(TICK) {
                    Ok(Err(error)) => break Err(error),
                    Err(RecvTimeoutError::Disconnected) => break Ok(()),
                    Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => {}
                }
                progress.progress(done.load(Ordering::Relaxed));
            };
            stop.store(true, Ordering::Relaxed);
            verdict
        })
    }

    fn hash(&self, digest: &Digest, done: &AtomicU64, stop: &AtomicBool) -> Result<(), OpenError> {
        use std::io::Read;
        let mut reader = self.reader(digest)?;
        let mut buffer = vec![0; CHUNK];
        while !stop.load(Ordering::Relaxed) {
            let read = reader
                .read(&mut buffer)
                .map_err(|error| blob_error(error, self.role(digest), digest))?;
            if read == 0 {
                break;
            }
            done.fetch_add(read as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}
