//! Layers on their way to their place in the file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::distribution::Reference;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::CreateError;
use super::options::PARALLEL;
use super::pipeline::{Place, Scan, Stored, inflate, write_layer};
use super::resume::Marks;
use super::source::{EngineImages, Piece, Source};
use crate::bundle::layout::{LayerSlot, Planned};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::oci::registry::Blob;
use crate::report::event::{Reporter, Step, StepStatus, Unit};
use crate::sys::partial_set::{PartialSet, PartialWriter};

/// Chunks between network and disk, and between disk and inflating; up to
/// some 400 KiB each. More of them wait so long that they have left the
/// processor's cache when their turn comes, and are hashed more slowly.
const QUEUE: usize = 1;

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
    pub(super) source: &'a Source,
    /// See [`sources`].
    pub(super) sources: &'a BTreeMap<Digest, Reference>,
    /// Inflated bytes of layers that were checked before.
    pub(super) unpacked: &'a BTreeMap<Digest, u64>,
}

/// A layer to be fetched, and where it goes.
struct Job<'a> {
    slot: &'a LayerSlot,
    file: Option<(PartialWriter, Arc<Marks>)>,
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
    let placed = planned.slots().iter().map(|slot| Job {
        slot,
        file: Some((partial.writer(), Arc::clone(marks))),
    });
    let mut jobs: Vec<_> = placed
        .chain(unknown.into_iter().map(|slot| Job { slot, file: None }))
        .collect();
    let total = jobs.iter().map(|job| job.slot.size).sum();
    let progress = Step::sized(reporter, "pull", "Pulling layers", Some(total), Unit::Bytes);
    let done = Cell::new(0);
    let advance = |bytes: u64| {
        done.set(done.get() + bytes);
        progress.progress(done.get());
    };
    // The largest first: the last to be pulled has the machine to itself.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.slot.size));
    let count = jobs.len();
    let mut stored = match origin.source {
        Source::Engine(images) => pull_saved(images, origin, jobs, scan, &advance).await?,
        source => {
            stream::iter(jobs)
                .map(|job| pull_one(source, origin, job, scan, &advance))
                .buffer_unordered(PARALLEL)
                .try_collect()
                .await?
        }
    };
    progress.finish(StepStatus::Done, Some(format!("{count} layers")));
    for slot in known {
        let unpacked = origin.unpacked.get(&slot.digest);
        stored.extend(unpacked.map(|unpacked| {
            let stored = Stored {
                sum: None,
                unpacked: *unpacked,
                scanned: None,
            };
            (slot.digest, stored)
        }));
    }
    Ok(stored)
}

/// Fetches one layer from where any of them can be had at any time.
async fn pull_one<T: Send + 'static>(
    source: &Source,
    origin: &Origin<'_>,
    job: Job<'_>,
    scan: Option<Scan<T>>,
    advance: &dyn Fn(u64),
) -> Result<(Digest, Stored<T>), CreateError> {
    let (digest, size) = (job.slot.digest, job.slot.size);
    let reference = origin
        .sources
        .get(&digest)
        .ok_or_else(|| missing(digest, "no image has it"))?;
    store(origin, job, scan, advance, async |from, sink| {
        let blob = Blob { digest, size, from };
        source.fetch(reference, blob, &sink, advance).await
    })
    .await
}

/// Takes layers in the order in which an engine sends them.
async fn pull_saved<T: Send + 'static>(
    images: &EngineImages,
    origin: &Origin<'_>,
    jobs: Vec<Job<'_>>,
    scan: Option<Scan<T>>,
    advance: &dyn Fn(u64),
) -> Result<BTreeMap<Digest, Stored<T>>, CreateError> {
    let mut jobs: BTreeMap<_, _> = jobs.into_iter().map(|job| (job.slot.digest, job)).collect();
    let (sender, mut pieces) = channel(QUEUE);
    let sending = images.send(jobs.keys().copied().collect(), sender);
    let storing = async move {
        let mut stored = BTreeMap::new();
        let mut next = pieces.recv().await;
        while let Some(Piece::Blob(digest)) = next {
            let job = jobs
                .remove(&digest)
                .ok_or_else(|| missing(digest, "the engine sent it twice"))?;
            let mut behind = None;
            let pieces = &mut pieces;
            let one = store(origin, job, scan, advance, async |from, sink| {
                behind = pass_on(pieces, from, &sink, advance).await;
                Ok(())
            });
            stored.extend([one.await?]);
            next = behind;
        }
        Ok::<_, CreateError>((stored, jobs.into_keys().next()))
    };
    let (sent, stored) = futures_util::future::join(sending, storing).await;
    // Who stores only knows that bytes are missing, not why.
    sent?;
    match stored? {
        (stored, None) => Ok(stored),
        (_, Some(digest)) => Err(missing(digest, "the engine did not send it")),
    }
}

/// Passes the bytes of one blob on, without those before `from`, and returns
/// what comes behind them.
async fn pass_on(
    pieces: &mut Receiver<Piece>,
    from: u64,
    sink: &Sender<Bytes>,
    advance: &dyn Fn(u64),
) -> Option<Piece> {
    let mut skip = from;
    loop {
        match pieces.recv().await {
            Some(Piece::Bytes(mut chunk)) => {
                let known = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
                skip -= known as u64;
                let chunk = chunk.split_off(known);
                if chunk.is_empty() {
                    continue;
                }
                advance(chunk.len() as u64);
                // Who takes it may have failed; the stream is still to be
                // read to where the next blob begins.
                let _ = sink.send(chunk).await;
            }
            other => return other,
        }
    }
}

fn missing(digest: Digest, problem: &str) -> CreateError {
    CreateError::Layer {
        digest,
        image: String::new(),
        problem: problem.to_owned(),
    }
}

/// Puts the bytes that `fetch` yields in their place and checks them. It is
/// told how many of them are there already.
async fn store<T: Send + 'static>(
    origin: &Origin<'_>,
    job: Job<'_>,
    scan: Option<Scan<T>>,
    advance: &dyn Fn(u64),
    fetch: impl AsyncFnOnce(u64, Sender<Bytes>) -> Result<(), CreateError>,
) -> Result<(Digest, Stored<T>), CreateError> {
    let Job { slot, file } = job;
    let of_image = |error: CreateError| match origin.sources.get(&slot.digest) {
        Some(reference) => error.within(reference),
        None => error,
    };
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
        tokio::task::spawn_blocking(move || write_layer(place.as_ref(), &slot, chunks, &next))
    };
    let known = origin.unpacked.get(&slot.digest).copied();
    let inflating = {
        let slot = slot.clone();
        tokio::task::spawn_blocking(move || match known {
            // The same bytes inflate to the same.
            Some(unpacked) if scan.is_none() => Ok(Stored {
                sum: None,
                unpacked,
                scanned: None,
            }),
            _ => inflate(&slot, placed_chunks, scan),
        })
    };
    let fetched = fetch(there, sender).await;
    let (placed, inflated) = (placing.await?, inflating.await?);
    // The first of these is the reason of those behind it, which only know
    // that bytes are missing.
    fetched?;
    let sum = Some(placed.map_err(of_image)?);
    let stored = inflated.map_err(of_image)?;
    Ok((slot.digest, Stored { sum, ..stored }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_there_already_is_not_passed_on() {
        for from in [0, 2, 3, 7] {
            let (sender, mut pieces) = channel(8);
            let (sink, mut passed) = channel(8);
            for piece in ["abc", "defg"] {
                sender.try_send(Piece::Bytes(Bytes::from(piece))).ok();
            }
            let next = Digest::of(b"next");
            sender.try_send(Piece::Blob(next)).ok();
            let counted = Cell::new(from);
            let advance = |bytes| counted.set(counted.get() + bytes);
            let behind = pass_on(&mut pieces, from, &sink, &advance).await;
            assert!(matches!(behind, Some(Piece::Blob(digest)) if digest == next));
            assert_eq!(counted.get(), 7);
            drop(sink);
            let mut bytes = Vec::new();
            while let Some(chunk) = passed.recv().await {
                assert!(!chunk.is_empty());
                bytes.extend(chunk);
            }
            let skipped = usize::try_from(from).unwrap();
            assert_eq!(bytes, b"abcdefg"[skipped..]);
        }
    }
}
