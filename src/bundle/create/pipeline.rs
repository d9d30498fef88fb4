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
use super::resume::{Marks, back};
use crate::bundle::layout::LayerSlot;
use crate::oci::digest::Digest;
use crate::oci::image::Compression;
use crate::sys::partial_set::PartialWriter;

/// Bytes of an inflated layer that are held.
const BUFFER: usize = 512 << 10;
/// A layer may inflate to this many bytes, and to [`RATIO`] times its size.
const ROOM: u64 = 1 << 30;
const RATIO: u64 = 200;

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
pub(super) fn put(
    place: Option<&Place>,
    slot: &LayerSlot,
    mut chunks: Receiver<Bytes>,
    next: &Sender<Bytes>,
) -> Result<u32, CreateError> {
    let mut hasher = Sha256::new();
    let mut sum = Crc::new();
    let mut bytes = 0;
    if let Some(place) = place {
        back(&place.file, slot, place.there, |chunk| {
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
                place.marks.note(slot, bytes, &hasher);
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
    let chunks = Chunks::new(chunks);
    let inflated: Box<dyn Read> = match slot.compression {
        Compression::None => Box::new(chunks),
        Compression::Gzip => Box::new(MultiGzDecoder::new(chunks)),
    };
    // Inflating and hashing in large pieces takes a fifth less time.
    let mut layer = BufReader::with_capacity(BUFFER, Measured::new(inflated, slot));
    let scanned = scan.map(|scan| scan(&mut layer)).transpose();
    let (diff_id, unpacked) = layer
        .into_inner()
        .finish()
        .map_err(|error| wrong(slot, format!("it cannot be inflated: {error}")))?;
    if diff_id != slot.diff_id {
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

fn wrong(slot: &LayerSlot, problem: String) -> CreateError {
    CreateError::Layer {
        digest: slot.digest,
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
            limit: slot.size.saturating_mul(RATIO).saturating_add(ROOM),
            failed: None,
        }
    }

    /// Reads what is left.
    fn finish(mut self) -> io::Result<(Digest, u64)> {
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        let hashed = Digest::from_bytes(self.hasher.finalize().into());
        Ok((self.known.unwrap_or(hashed), self.bytes))
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
                return Err(io::Error::other(format!(
                    "it grows beyond {} bytes",
                    self.limit
                )));
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
mod tests {
    use super::*;
    use flate2::Compression as Level;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use tokio::sync::mpsc::channel;

    use crate::sys::partial_set::PartialSet;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn slot(stored: &[u8], inflated: &[u8], compression: Compression) -> LayerSlot {
        LayerSlot {
            digest: Digest::of(stored),
            size: stored.len() as u64,
            diff_id: Digest::of(inflated),
            compression,
            offset: 512,
        }
    }

    fn inflated<T>(
        slot: &LayerSlot,
        stored: &[u8],
        scan: Option<Scan<T>>,
    ) -> Result<Stored<T>, CreateError> {
        let (sender, chunks) = channel(1000);
        for chunk in stored.chunks(1000) {
            sender.try_send(Bytes::copy_from_slice(chunk)).unwrap();
        }
        drop(sender);
        inflate(slot, chunks, scan)
    }

    fn first_byte(layer: &mut dyn Read) -> io::Result<u8> {
        let mut byte = [0];
        layer.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    #[test]
    fn a_scan_that_stops_early_does_not_end_the_check() {
        let content = b"content".repeat(10_000);
        for (stored, compression) in [
            (gzip(&content), Compression::Gzip),
            (content.clone(), Compression::None),
        ] {
            let good = slot(&stored, &content, compression);
            let found = inflated(&good, &stored, Some(first_byte)).unwrap();
            assert_eq!((found.unpacked, found.scanned), (70_000, Some(b'c')));
            let none = inflated(&good, &stored, None::<Scan<()>>).unwrap();
            assert_eq!((none.unpacked, none.scanned), (70_000, None));

            let mut lie = good;
            lie.diff_id = Digest::of(b"other");
            let error = inflated(&lie, &stored, Some(first_byte)).unwrap_err();
            assert!(
                error.to_string().contains("the image config says"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_layer_in_several_gzip_members_is_one_layer() {
        let stored = [gzip(b"one "), gzip(b"two")].concat();
        let slot = slot(&stored, b"one two", Compression::Gzip);
        let found = inflated(&slot, &stored, None::<Scan<()>>).unwrap();
        assert_eq!(found.unpacked, 7);
    }

    #[test]
    fn a_cut_off_layer_is_not_hidden_by_a_scan_that_forgives() {
        fn forgiving(layer: &mut dyn Read) -> io::Result<u64> {
            io::copy(layer, &mut io::sink()).or(Ok(0))
        }
        let stored = gzip(&b"content".repeat(10_000));
        let cut = &stored[..stored.len() - 9];
        let slot = slot(cut, b"", Compression::Gzip);
        let error = inflated(&slot, cut, Some(forgiving)).unwrap_err();
        assert!(error.to_string().contains("cannot be inflated"), "{error}");
    }

    #[test]
    fn a_bomb_is_stopped() {
        let stored = gzip(&vec![0; 3 << 20]);
        let bomb = slot(&stored, b"", Compression::Gzip);
        let decoder = MultiGzDecoder::new(io::Cursor::new(stored));
        let mut layer = Measured::new(Box::new(decoder), &bomb);
        assert_eq!(layer.limit, bomb.size * RATIO + ROOM);
        layer.limit = 1 << 20;
        let error = layer.finish().unwrap_err();
        assert!(error.to_string().contains("grows beyond"), "{error}");
    }

    #[test]
    fn a_layer_whose_marks_find_no_room_is_placed_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a");
        let set = PartialSet::whole(&target).unwrap();
        let marks = Marks::open(&set, &target, &[], None).unwrap();
        fs_err::create_dir(dir.path().join(".a.marks")).unwrap();
        let layer = vec![7; 9 << 20];
        let slot = slot(&layer, b"", Compression::None);
        let (sender, chunks) = channel(1);
        sender.try_send(Bytes::from(layer.clone())).unwrap();
        drop(sender);
        let (next, passed) = channel(1);
        drop(passed);
        let place = Place {
            file: set.writer(),
            marks: Arc::new(marks),
            there: 0,
        };
        put(Some(&place), &slot, chunks, &next).unwrap();
        assert!(
            !set.writer().keeps(),
            "nothing says how much of it is there"
        );
        set.finish().unwrap();
        assert!(fs_err::read(target).unwrap()[512..] == layer);
    }

    #[test]
    fn bytes_are_placed_and_passed_on_and_a_wrong_digest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a");
        let set = PartialSet::whole(&target).unwrap();
        for wanted in [&b"right"[..], b"wrong"] {
            let slot = slot(wanted, b"", Compression::None);
            let (sender, chunks) = channel(4);
            sender.try_send(Bytes::from_static(b"ri")).unwrap();
            sender.try_send(Bytes::from_static(b"ght")).unwrap();
            drop(sender);
            let (next, mut passed) = channel(4);
            let place = Place {
                file: set.writer(),
                marks: Arc::new(Marks::open(&set, &target, &[], None).unwrap()),
                there: 0,
            };
            let placed = put(Some(&place), &slot, chunks, &next);
            assert_eq!(placed.is_ok(), wanted == b"right");
            assert_eq!(passed.try_recv().unwrap(), b"ri"[..]);
            assert_eq!(passed.try_recv().unwrap(), b"ght"[..]);
        }
        set.finish().unwrap();
        assert_eq!(&fs_err::read(target).unwrap()[512..], b"right");
    }
}
