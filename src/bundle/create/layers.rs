//! Layers on their way from a registry to their place in the file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::distribution::Reference;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, channel};

use super::{CreateError, PARALLEL};
use crate::bundle::layout::LayerSlot;
use crate::oci::digest::Digest;
use crate::oci::image::{Compression, Image};
use crate::oci::registry::Registry;
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sys::partial_set::{PartialSet, PartialWriter};

/// Chunks between network and disk, some 16 KiB each.
const QUEUE: usize = 16;

/// From which repository each layer can be had.
pub(super) fn sources<'a>(
    images: impl Iterator<Item = &'a (Reference, Image)>,
) -> BTreeMap<Digest, Reference> {
    let mut sources = BTreeMap::new();
    for (reference, image) in images {
        for layer in &image.layers {
            sources
                .entry(layer.digest)
                .or_insert_with(|| reference.clone());
        }
    }
    sources
}

/// Pulls every layer to its place; returns the inflated sizes.
pub(super) async fn pull(
    registry: &Registry,
    sources: &BTreeMap<Digest, Reference>,
    slots: &[LayerSlot],
    partial: &PartialSet,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<Digest, u64>, CreateError> {
    let total = slots.iter().map(|slot| slot.size).sum();
    let progress = Step::sized(reporter, "pull", "Pulling layers", Some(total), Unit::Bytes);
    let done = Cell::new(0);
    let advance = |bytes: u64| {
        done.set(done.get() + bytes);
        progress.progress(done.get());
    };
    let unpacked = stream::iter(slots)
        .map(|slot| pull_one(registry, sources, slot, partial.writer(), &advance))
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    progress.finish(Outcome::Done, Some(format!("{} layers", slots.len())));
    Ok(unpacked)
}

async fn pull_one(
    registry: &Registry,
    sources: &BTreeMap<Digest, Reference>,
    slot: &LayerSlot,
    file: PartialWriter,
    advance: &dyn Fn(u64),
) -> Result<(Digest, u64), CreateError> {
    let reference = sources
        .get(&slot.digest)
        .ok_or_else(|| CreateError::Layer {
            digest: slot.digest,
            problem: "no image has it".to_owned(),
        })?;
    let (sender, chunks) = channel(QUEUE);
    let writer = {
        let slot = slot.clone();
        tokio::task::spawn_blocking(move || store(&file, &slot, chunks))
    };
    let fetched = registry
        .fetch(reference, slot.digest, slot.size, &sender, advance)
        .await;
    drop(sender);
    // When the registry failed, that is the reason; the writer then only
    // knows that bytes are missing.
    let stored = writer.await?;
    fetched?;
    Ok((slot.digest, stored?))
}

/// Writes the chunks of a layer to their place and checks them; returns the
/// inflated size.
fn store(
    file: &PartialWriter,
    slot: &LayerSlot,
    mut chunks: Receiver<Bytes>,
) -> Result<u64, CreateError> {
    let wrong = |problem: String| CreateError::Layer {
        digest: slot.digest,
        problem,
    };
    let mut hasher = Sha256::new();
    let mut inflater = Inflater::new(slot.compression);
    let mut offset = slot.offset;
    while let Some(chunk) = chunks.blocking_recv() {
        file.write_all_at(&chunk, offset)
            .map_err(CreateError::Write)?;
        offset += chunk.len() as u64;
        hasher.update(&chunk);
        inflater
            .write_all(&chunk)
            .map_err(|error| wrong(format!("it cannot be inflated: {error}")))?;
    }
    let digest = Digest::from_bytes(hasher.finalize().into());
    if digest != slot.digest {
        return Err(wrong(format!("its content has the digest {digest}")));
    }
    let (diff_id, unpacked) = inflater
        .finish()
        .map_err(|error| wrong(format!("it cannot be inflated: {error}")))?;
    if diff_id != slot.diff_id {
        return Err(wrong(format!(
            "inflated it is {diff_id}, the image config says {}",
            slot.diff_id
        )));
    }
    Ok(unpacked)
}

/// Counts and hashes what a layer inflates to, and keeps nothing of it.
struct Measure {
    hasher: Sha256,
    bytes: u64,
}

impl Write for Measure {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.hasher.update(buffer);
        self.bytes += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Inflater {
    Plain(Measure),
    Gzip(Box<MultiGzDecoder<Measure>>),
}

impl Inflater {
    fn new(compression: Compression) -> Self {
        let measure = Measure {
            hasher: Sha256::new(),
            bytes: 0,
        };
        match compression {
            Compression::None => Self::Plain(measure),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(measure))),
        }
    }

    fn write_all(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(measure) => measure.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
        }
    }

    fn finish(self) -> io::Result<(Digest, u64)> {
        let measure = match self {
            Self::Plain(measure) => measure,
            Self::Gzip(decoder) => decoder.finish()?,
        };
        Ok((
            Digest::from_bytes(measure.hasher.finalize().into()),
            measure.bytes,
        ))
    }
}
