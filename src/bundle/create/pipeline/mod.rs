//! What happens to the bytes of one layer: they are written to their place
//! and hashed in one thread, inflated, hashed and scanned in another, so that
//! a single large layer keeps two cores busy.
//!
//! Invariant: a layer counts as stored only when its bytes have the digest
//! that its image names and inflate to the content that its config names.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flate2::Crc;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, Sender};

use super::CreateError;
use super::resume::{Marks, read_back};
use crate::bundle::layout::LayerSlot;
use crate::oci::digest::Digest;
use crate::oci::image::Compression;
use crate::sys::partial_set::PartialWriter;

/// Bytes of an inflated layer that are held.
const BUFFER: usize = 512 << 10;
/// A layer may inflate to this many bytes. Nothing inflated is kept, so a large
/// one costs no more than time.
const LIMIT: u64 = 256 << 30;
/// A layer that inflates to more than this, and to [`RATIO`] times its size, is
/// spoken of: mostly it is a file of zeros that nobody meant to make.
const ROOM: u64 = 1 << 30;
const RATIO: u64 = 200;
/// Bytes at the beginning of a layer that tell what it is.
const HEAD: usize = 512;

/// Looks at an inflated layer, which is a tar. May stop before its end; what
/// it fails to understand is its own error and must not hide one of reading.
pub(super) type Scan<T> = fn(&mut dyn Read) -> io::Result<T>;

/// A layer that is in its place and is what its image says.
#[derive(Debug)]
pub(super) struct Stored<T> {
    /// CRC-32 of the bytes that were put in their place.
    pub(super) sum: Option<u32>,
    /// Bytes once inflated.
    pub(super) unpacked: u64,
    /// What the scan found, if there was one.
    pub(super) scanned: Option<T>,
}

impl<T> Stored<T> {
    /// The stored size of a layer that inflates to far more.
    pub(super) fn is_swollen(&self, slots: &[LayerSlot], digest: &Digest) -> Option<u64> {
        let slot = slots.iter().find(|slot| slot.digest == *digest)?;
        let is_swollen = self.unpacked > ROOM && self.unpacked / RATIO > slot.size;
        is_swollen.then_some(slot.size)
    }
}

/// Where the bytes of a layer go.
pub(super) struct Place {
    pub(super) file: PartialWriter,
    pub(super) marks: Arc<Marks>,
    /// So many are there already.
    pub(super) there: u64,
}

/// Writes the chunks of a layer to their place, if it has one, hashes them
/// and passes them on, those that are there already before all others.
/// Returns their CRC-32, by which it can be seen cheaply that they are still
/// the ones that were hashed.
pub(super) fn write_layer(
    place: Option<&Place>,
    slot: &LayerSlot,
    mut chunks: Receiver<Bytes>,
    next: &Sender<Bytes>,
) -> Result<u32, CreateError> {
    let mut hasher = Sha256::new();
    let mut sum = Crc::new();
    let mut bytes = 0;
    if let Some(place) = place {
        read_back(&place.file, slot, place.there, |chunk| {
            hasher.update(&chunk);
            sum.update(&chunk);
            let _ = next.blocking_send(chunk.into());
        })
        .map_err(CreateError::Write)?;
        bytes = place.there;
    }
    // Up to here the disk was told to begin.
    let mut begun = bytes;
    while let Some(chunk) = chunks.blocking_recv() {
        let before = bytes;
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
        sum.update(&chunk);
        if let Some(place) = place {
            let written = place.file.write_all_at(&chunk, slot.offset + before);
            written.map_err(CreateError::Write)?;
            if Marks::is_due(slot, before, bytes) {
                let synced = place.file.start_sync(slot.offset + begun, bytes - begun);
                synced.map_err(CreateError::Write)?;
                begun = bytes;
                place.marks.record(slot, bytes, &hasher);
            }
        }
        // Who inflates may have given up. Only the digest over all of it
        // tells a wrong blob from a wrong image, so it is read to its end.
        let _ = next.blocking_send(chunk);
    }
    let digest = Digest::from_bytes(hasher.finalize().into());
    if digest == slot.digest {
        Ok(sum.sum())
    } else {
        Err(wrong(slot, format!("its content has the digest {digest}")))
    }
}

/// Inflates the chunks of a layer, checks the outcome and shows it to `scan`.
pub(super) fn inflate<T>(
    slot: &LayerSlot,
    chunks: Receiver<Bytes>,
    scan: Option<Scan<T>>,
) -> Result<Stored<T>, CreateError> {
    let mut chunks = Chunks::new(chunks);
    let head = chunks.fill_buf().map_err(CreateError::Write)?;
    let found = kind_of(&head[..head.len().min(HEAD)]);
    let inflated: Box<dyn Read> = match slot.compression {
        Compression::None => Box::new(chunks),
        Compression::Gzip => Box::new(MultiGzDecoder::new(chunks)),
    };
    // Inflating and hashing in large pieces takes a fifth less time.
    let mut layer = BufReader::with_capacity(BUFFER, Measured::new(inflated, slot));
    let scanned = scan.map(|scan| scan(&mut layer)).transpose();
    let (diff_id, unpacked, ended) = layer.into_inner().finish();
    ended.map_err(|error| uninflatable(slot, found, diff_id, &error))?;
    if diff_id != slot.diff_id {
        if let Some(error) = mislabelled(slot, found) {
            return Err(error);
        }
        return Err(wrong(
            slot,
            format!(
                "inflated it is {diff_id}, the image config says {}",
                slot.diff_id
            ),
        ));
    }
    Ok(Stored {
        sum: None,
        unpacked,
        scanned: scanned.map_err(|source| CreateError::Scan {
            digest: slot.digest,
            source,
        })?,
    })
}

/// The error of a layer of which only `inflated` could be read.
fn uninflatable(
    slot: &LayerSlot,
    found: Option<&'static str>,
    inflated: Digest,
    error: &io::Error,
) -> CreateError {
    let (digest, image) = (slot.digest, String::new());
    if error.kind() == io::ErrorKind::QuotaExceeded {
        let limit = LIMIT;
        return CreateError::TooLarge {
            digest,
            image,
            limit,
        };
    }
    let problem = error.to_string();
    if slot.compression == Compression::Gzip && inflated == slot.diff_id {
        return CreateError::BadEnd {
            digest,
            image,
            problem,
        };
    }
    let problem = format!("it cannot be inflated: {problem}");
    mislabelled(slot, found).unwrap_or_else(|| wrong(slot, problem))
}

/// What the first bytes of a layer say that it is.
fn kind_of(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("xz"),
        _ if head.get(257..262) == Some(b"ustar") => Some("a plain tar"),
        _ => None,
    }
}

/// The error of a layer whose media type is not that of its bytes.
fn mislabelled(slot: &LayerSlot, found: Option<&'static str>) -> Option<CreateError> {
    let said = match slot.compression {
        Compression::None => "a plain tar",
        Compression::Gzip => "gzip",
    };
    let found = found.filter(|found| *found != said)?;
    Some(CreateError::Mislabelled {
        digest: slot.digest,
        image: String::new(),
        said,
        found,
    })
}

fn wrong(slot: &LayerSlot, problem: String) -> CreateError {
    CreateError::Layer {
        digest: slot.digest,
        image: String::new(),
        problem,
    }
}

/// Chunks out of a channel, as one stream.
pub(super) struct Chunks {
    receiver: Receiver<Bytes>,
    current: Bytes,
}

impl Chunks {
    pub(super) fn new(receiver: Receiver<Bytes>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
        }
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }
}

/// Hashes and counts what passes, and stops what grows without end.
struct Measured {
    inner: Box<dyn Read>,
    hasher: Sha256,
    /// The digest is known already: a plain layer is hashed as it is stored.
    known: Option<Digest>,
    bytes: u64,
    limit: u64,
    /// A failed read stays failed, whatever a scan makes of it.
    failed: Option<(io::ErrorKind, String)>,
}

impl Measured {
    fn new(inner: Box<dyn Read>, slot: &LayerSlot) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            known: (slot.compression == Compression::None).then_some(slot.digest),
            bytes: 0,
            limit: LIMIT,
            failed: None,
        }
    }

    /// Reads what is left. Returns digest and bytes of what could be read, and
    /// whether that is all.
    fn finish(mut self) -> (Digest, u64, io::Result<()>) {
        let mut buffer = vec![0; BUFFER];
        let ended = loop {
            match self.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let hashed = Digest::from_bytes(self.hasher.finalize().into());
        (self.known.unwrap_or(hashed), self.bytes, ended)
    }
}

impl Read for Measured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        let read = self.inner.read(buffer).and_then(|read| {
            self.bytes += read as u64;
            if self.bytes > self.limit {
                return Err(io::Error::new(
                    io::ErrorKind::QuotaExceeded,
                    format!("it grows beyond {} bytes", self.limit),
                ));
            }
            Ok(read)
        });
        match &read {
            Ok(read) if self.known.is_none() => self.hasher.update(&buffer[..*read]),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed = Some((error.kind(), error.to_string())),
        }
        read
    }
}

#[cfg(test)]
mod tests;
