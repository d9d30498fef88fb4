//! The images that are not there, several at once where the engine gains by
//! it.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::error::LoadError;
use super::one::{Loader, Sent};
use super::order::{Chains, Pending, Start, next};
use super::progress::{Part, Whole};
use super::source::ImageSource;
use super::stream::Ahead;
use crate::engine::{ContainerEngine, EngineImage};
use crate::report::event::{Reporter, Step, Unit};

/// An image in the engine, not tagged for the operator yet.
pub(super) struct Brought {
    pub(super) image: EngineImage,
    /// `None` when it was there before.
    pub(super) sent: Option<Sent>,
}

pub(super) fn step<'a>(
    reporter: &'a dyn Reporter,
    image: &ImageSource,
    total: Option<u64>,
) -> Step<'a> {
    let id = format!("load.{}", image.keys.first().unwrap_or(&image.reference));
    let label = format!("load image {}", image.reference);
    Step::sized(reporter, &id, &label, total, Unit::Bytes)
}

/// Sends each image in an archive of its own, without the layers that the
/// engine has or gets with another one. Several images in one archive would
/// be unpacked one after the other.
pub(super) async fn bring_chained<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    (pending, chains): (Vec<Pending>, Chains),
    brought: &mut [Option<Brought>],
    reporter: &dyn Reporter,
) -> Result<(), LoadError> {
    let bytes = pending
        .iter()
        .map(|one| loader.archive_bytes(&images[one.index], 0));
    let whole = Whole::start(reporter, pending.len(), bytes.sum());
    let mut under_way = UnderWay {
        loader,
        chains,
        pending,
        running: Vec::new(),
        behind: Vec::new(),
        failure: None,
    };
    let mut work = FuturesUnordered::new();
    loop {
        while let Some((index, how)) = under_way.start() {
            work.push(bring(
                loader,
                &images[index],
                index,
                how,
                (reporter, &whole),
            ));
        }
        let Some((index, result)) = work.next().await else {
            break;
        };
        if let Some(one) = under_way.ended(index, result) {
            brought[index] = Some(one);
        }
    }
    drop(work);
    if let Some(failure) = under_way.failure {
        return Err(failure);
    }
    whole.finish();
    Ok(())
}

/// Layers to leave out, and what to wait for before the last byte is sent.
type How = (usize, Option<Ahead>);

/// Which images wait, which are being sent, and what came of the others.
struct UnderWay<'a, E> {
    loader: &'a Loader<'a, E>,
    chains: Chains,
    pending: Vec<Pending>,
    running: Vec<Pending>,
    /// Whom to tell that an image is loaded, by that image's index.
    behind: Vec<(usize, Sender<()>)>,
    failure: Option<LoadError>,
}

impl<E: ContainerEngine> UnderWay<'_, E> {
    /// The next image that may be sent now. None is after a failure.
    fn start(&mut self) -> Option<(usize, How)> {
        if self.failure.is_some() || self.running.len() >= self.loader.route.at_once() {
            return None;
        }
        let Start {
            place,
            skip,
            behind,
        } = next(&self.pending, &self.running, &self.chains)?;
        let one = self.pending.remove(place);
        let index = one.index;
        self.running.push(one);
        let ahead = behind.map(|ahead| {
            let (sender, receiver) = channel();
            self.behind.push((ahead, sender));
            receiver
        });
        Some((index, (skip, ahead)))
    }

    /// Takes in how an image ended, and returns it if it is loaded.
    fn ended(&mut self, index: usize, result: Result<Brought, LoadError>) -> Option<Brought> {
        self.running.retain(|one| one.index != index);
        let behind = std::mem::take(&mut self.behind);
        let (told, others) = behind.into_iter().partition(|(ahead, _)| *ahead == index);
        self.behind = others;
        match result {
            Ok(one) => {
                for (_, loaded) in told {
                    // Who is gone has failed meanwhile.
                    let _ = loaded.send(());
                }
                self.chains.add(one.image.diff_ids.clone());
                Some(one)
            }
            Err(error) => {
                self.failed(error);
                None
            }
        }
    }

    /// Keeps the first failure, or the first one of wrong content.
    fn failed(&mut self, error: LoadError) {
        let is_wrong = error.is_wrong_content();
        if is_wrong {
            // Nothing is to stay, so what is under way need not go on.
            self.loader.stop.store(true, Ordering::Relaxed);
        }
        let known = self.failure.as_ref();
        if known.is_none_or(|known| is_wrong && !known.is_wrong_content()) {
            self.failure = Some(error);
        }
    }
}

async fn bring<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    image: &ImageSource,
    index: usize,
    (skip, ahead): How,
    (reporter, whole): (&dyn Reporter, &Whole<'_>),
) -> (usize, Result<Brought, LoadError>) {
    let total = loader.archive_bytes(image, 0);
    let to_send = loader.archive_bytes(image, skip);
    let step = step(reporter, image, Some(to_send));
    let part = Part::new(step, whole, total.saturating_sub(to_send));
    let result = loader
        .load(image, skip, ahead, &|sent| part.progress(sent))
        .await;
    let brought = result.map(|(held, sent)| {
        let left_out = total.saturating_sub(sent.bytes);
        let detail = (left_out > 0).then(|| format!("the engine had {left_out} of {total} bytes"));
        part.finish(detail);
        Brought {
            image: held,
            sent: Some(sent),
        }
    });
    (index, brought)
}
