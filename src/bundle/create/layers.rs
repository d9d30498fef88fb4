//! Layers on their way from a registry to their place in the file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::distribution::Reference;
use tokio::sync::mpsc::channel;

use super::pipeline::{Place, Scan, Stored, inflate, put};
use super::resume::Marks;
use super::{CreateError, PARALLEL};
use crate::bundle::layout::{LayerSlot, Planned};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::oci::registry::{Blob, Registry};
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sys::partial_set::{PartialSet, PartialWriter};

/// Chunks between network and disk, and between disk and inflating; up to
/// some 400 KiB each.
const QUEUE: usize = 3;

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

/// Where layers come from, and what is known of them.
pub(super) struct Origin<'a> {
    pub(super) registry: &'a Registry,
    /// See [`sources`].
    pub(super) sources: &'a BTreeMap<Digest, Reference>,
    /// Inflated bytes of layers that were checked before.
    pub(super) unpacked: &'a BTreeMap<Digest, u64>,
}

/// Pulls every layer to its place and shows each to `scan`, if there is one.
/// Those that the bundle leaves out have no place: they are pulled only for what nobody
/// knows of them yet.
pub(super) async fn pull<T: Send + 'static>(
    origin: &Origin<'_>,
    planned: &Planned,
    partial: &PartialSet,
    marks: &Arc<Marks>,
    scan: Option<Scan<T>>,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<Digest, Stored<T>>, CreateError> {
    let (known, unknown): (Vec<_>, Vec<_>) = planned
        .absent()
        .iter()
        .partition(|slot| scan.is_none() && origin.unpacked.contains_key(&slot.digest));
    let mut jobs: Vec<_> = planned
        .slots()
        .iter()
        .map(|slot| (slot, Some((partial.writer(), Arc::clone(marks)))))
        .chain(unknown.into_iter().map(|slot| (slot, None)))
        .collect();
    let total = jobs.iter().map(|(slot, _)| slot.size).sum();
    let progress = Step::sized(reporter, "pull", "Pulling layers", Some(total), Unit::Bytes);
    let done = Cell::new(0);
    let advance = |bytes: u64| {
        done.set(done.get() + bytes);
        progress.progress(done.get());
    };
    // The largest first: the last to be pulled has the machine to itself.
    jobs.sort_by_key(|(slot, _)| std::cmp::Reverse(slot.size));
    let count = jobs.len();
    let mut stored: BTreeMap<_, _> = stream::iter(jobs)
        .map(|(slot, file)| pull_one(origin, slot, file, scan, &advance))
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    progress.finish(Outcome::Done, Some(format!("{count} layers")));
    for slot in known {
        let unpacked = origin.unpacked.get(&slot.digest);
        stored.extend(unpacked.map(|unpacked| {
            let scanned = None;
            let unpacked = *unpacked;
            (slot.digest, Stored { unpacked, scanned })
        }));
    }
    Ok(stored)
}

async fn pull_one<T: Send + 'static>(
    origin: &Origin<'_>,
    slot: &LayerSlot,
    file: Option<(PartialWriter, Arc<Marks>)>,
    scan: Option<Scan<T>>,
    advance: &dyn Fn(u64),
) -> Result<(Digest, Stored<T>), CreateError> {
    let reference = origin
        .sources
        .get(&slot.digest)
        .ok_or_else(|| CreateError::Layer {
            digest: slot.digest,
            problem: "no image has it".to_owned(),
        })?;
    let place = match file {
        Some((file, marks)) => {
            let slot = slot.clone();
            let find = move || Place {
                there: marks.usable(&slot),
                file,
                marks,
            };
            Some(tokio::task::spawn_blocking(find).await?)
        }
        None => None,
    };
    let there = place.as_ref().map_or(0, |place| place.there);
    advance(there);
    let (sender, chunks) = channel(QUEUE);
    let (next, placed_chunks) = channel(QUEUE);
    let placing = {
        let slot = slot.clone();
        tokio::task::spawn_blocking(move || put(place.as_ref(), &slot, chunks, &next))
    };
    let known = origin.unpacked.get(&slot.digest).copied();
    let inflating = {
        let slot = slot.clone();
        tokio::task::spawn_blocking(move || match known {
            // The same bytes inflate to the same.
            Some(unpacked) if scan.is_none() => Ok(Stored {
                unpacked,
                scanned: None,
            }),
            _ => inflate(&slot, placed_chunks, scan),
        })
    };
    let blob = Blob {
        digest: slot.digest,
        size: slot.size,
        from: there,
    };
    let fetched = origin
        .registry
        .fetch(reference, blob, &sender, advance)
        .await;
    drop(sender);
    let (placed, inflated) = (placing.await?, inflating.await?);
    // The first of these is the reason of those behind it, which only know
    // that bytes are missing.
    fetched?;
    placed?;
    Ok((slot.digest, inflated?))
}
