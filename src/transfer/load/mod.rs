//! The images of a bundle into the engine.
//!
//! An image counts as there only when id and diff ids are the signed ones.
//! What is missing is sent as one archive per image, made while it is sent,
//! each layer through a verifying reader: the first wrong byte ends the
//! loading and takes back what it brought. Neither HTTP 200 nor the end of
//! the stream proves anything; the engine is asked afterwards what it holds.
//!
//! An archive names an image only by lfctl's own tag, because engines move
//! a tag they are given without a word. That tag stays, so that nobody prunes
//! the image; the operator's reference comes on top where it is free, and
//! only once every image is there.

mod archive;
mod complete;
mod error;
mod inflate;
mod one;
mod order;
mod source;
mod stream;
mod tags;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;

pub use self::complete::missing_layers;
pub use self::error::LoadError;
pub use self::order::Chains;
pub use self::source::{ImageSource, OpenLayer, private_tag};

use self::one::{Loader, Sent, engine_error};
use self::order::{Pending, next};
use self::source::check_source;
use self::stream::Ahead;
use crate::engine::{ContainerEngine, EngineError, EngineFacts, EngineImage, LoadRoute};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Outcome, Reporter, Step, Unit, notice};

/// Host part of lfctl's own tags. `.local` is never served by a registry.
const PRIVATE: &str = "lfctl.local";

/// An image that is in the engine, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loaded {
    /// Keys by which services name it.
    pub keys: Vec<String>,
    /// The engine's id: what containers are made from.
    pub id: String,
    /// Reference as operators see it, whether it points here or not.
    pub reference: String,
    /// Tags that point at it because of lfctl, its own one first.
    pub tags: Vec<String>,
    /// Bytes that went to the engine.
    pub sent_bytes: u64,
    /// Stored blobs of the layers that went to the engine.
    pub sent_layers: Vec<Digest>,
    /// Whether it was there before.
    pub already_present: bool,
}

/// An image in the engine, not tagged for the operator yet.
struct Brought {
    image: EngineImage,
    /// `None` when it was there before.
    sent: Option<Sent>,
}

/// Brings every image into the engine and tags it.
///
/// Emits a notice `load.route` when there is something to send, one step per
/// image, `load.<first key>`, that counts bytes, and a notice
/// `image.tag-taken` where the operator's reference already points at another
/// image. Images are returned in the order in which they were given.
///
/// # Errors
///
/// A layer that nothing at hand has ends it before anything is sent. The
/// first image that fails ends it. When content was wrong, everything
/// that was brought is taken back; after any other failure it stays, under
/// lfctl's own tags, and the next run goes on from there. No tag of somebody
/// else is ever moved.
pub async fn load_images<E: ContainerEngine>(
    engine: &E,
    facts: &EngineFacts,
    images: Vec<ImageSource>,
    reporter: &dyn Reporter,
) -> Result<Vec<Loaded>, LoadError> {
    let load = Loader::new(engine, facts);
    let mut brought = Vec::with_capacity(images.len());
    for image in &images {
        check_source(image)?;
        let there = load.present(image).await?;
        brought.push(there.map(|image| Brought { image, sent: None }));
    }
    let missing = complete::missing(&load, &images).await?;
    if !missing.is_empty() {
        return Err(LoadError::Incomplete(missing));
    }
    let result = bring_missing(&load, &images, &mut brought, reporter).await;
    if let Err(error) = result {
        if error.is_wrong_content() {
            take_back(&load, &images, &brought).await;
        }
        return Err(error);
    }
    let mut done = Vec::with_capacity(images.len());
    for (image, one) in images.iter().zip(brought) {
        // Each is there by now.
        let Some(one) = one else { continue };
        let tags = tags::set(engine, image, &one.image, reporter).await?;
        let already_present = one.sent.is_none();
        if already_present {
            let total = Some(load.archive_bytes(image, 0));
            step(reporter, image, total).finish(Outcome::AlreadyDone, None);
        }
        let sent = one.sent.unwrap_or_default();
        done.push(Loaded {
            keys: image.keys.clone(),
            id: one.image.id,
            reference: image.reference.clone(),
            tags,
            sent_bytes: sent.bytes,
            sent_layers: sent.layers,
            already_present,
        });
    }
    Ok(done)
}

fn step<'a>(reporter: &'a dyn Reporter, image: &ImageSource, total: Option<u64>) -> Step<'a> {
    let id = format!("load.{}", image.keys.first().unwrap_or(&image.reference));
    let label = format!("load image {}", image.reference);
    Step::sized(reporter, &id, &label, total, Unit::Bytes)
}

/// Sends what is not there, several at once where the engine gains by it.
async fn bring_missing<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    brought: &mut [Option<Brought>],
    reporter: &dyn Reporter,
) -> Result<(), LoadError> {
    let there = brought.iter().enumerate();
    let mut pending: Vec<_> = there
        .filter(|(_, one)| one.is_none())
        .map(|(index, _)| Pending::new(index, &images[index]))
        .collect();
    let Some(first) = pending.first().map(|one| &images[one.index]) else {
        return Ok(());
    };
    let mut chains = held_chains(loader, first).await?;
    notice(
        reporter,
        Level::Info,
        "load.route",
        loader.route.explain(loader.facts),
    );
    let mut running: Vec<Pending> = Vec::new();
    // Whom to tell that an image is loaded, by that image's index.
    let mut behind: Vec<(usize, Sender<()>)> = Vec::new();
    let mut work = FuturesUnordered::new();
    let mut failure: Option<LoadError> = None;
    loop {
        while failure.is_none()
            && running.len() < loader.route.at_once()
            && let Some(start) = next(&pending, &running, &chains)
        {
            let one = pending.remove(start.place);
            let ahead = start.behind.map(|ahead| {
                let (sender, receiver) = channel();
                behind.push((ahead, sender));
                receiver
            });
            work.push(bring(
                loader,
                images,
                one.index,
                (start.skip, ahead),
                reporter,
            ));
            running.push(one);
        }
        let Some((index, result)) = work.next().await else {
            break;
        };
        running.retain(|one| one.index != index);
        let (told, others) = behind.into_iter().partition(|(ahead, _)| *ahead == index);
        behind = others;
        match result {
            Ok(one) => {
                for (_, loaded) in told {
                    // Who is gone has failed meanwhile.
                    let _ = loaded.send(());
                }
                if matches!(loader.route, LoadRoute::Inflated { .. }) {
                    chains.add(one.image.diff_ids.clone());
                }
                brought[index] = Some(one);
            }
            Err(error) => {
                // What is under way goes on, unless nothing is to stay.
                if error.is_wrong_content() {
                    loader.stop.store(true, Ordering::Relaxed);
                }
                let worse = error.is_wrong_content()
                    && failure
                        .as_ref()
                        .is_some_and(|known| !known.is_wrong_content());
                if failure.is_none() || worse {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The images in the engine that lfctl brought.
///
/// # Errors
///
/// The engine does not answer.
pub async fn own_images<E: ContainerEngine>(engine: &E) -> Result<Vec<EngineImage>, EngineError> {
    engine.images(&format!("{PRIVATE}/*")).await
}

/// The layers that need not be sent: Docker's classic store takes those it
/// has by their chain of diff ids. Other stores want whole images.
///
/// # Errors
///
/// The engine does not answer.
pub async fn chains<E: ContainerEngine>(
    engine: &E,
    route: LoadRoute,
) -> Result<Chains, EngineError> {
    if route == LoadRoute::Stored {
        return Ok(Chains::default());
    }
    let held = own_images(engine).await?;
    Ok(Chains::new(
        held.into_iter().map(|image| image.diff_ids).collect(),
    ))
}

async fn held_chains<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    image: &ImageSource,
) -> Result<Chains, LoadError> {
    chains(loader.engine, loader.route)
        .await
        .map_err(|source| engine_error(image, source))
}

async fn bring<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    index: usize,
    (skip, ahead): (usize, Option<Ahead>),
    reporter: &dyn Reporter,
) -> (usize, Result<Brought, LoadError>) {
    let image = &images[index];
    let total = loader.archive_bytes(image, 0);
    let to_send = loader.archive_bytes(image, skip);
    let step = step(reporter, image, Some(to_send));
    let result = loader.load(image, skip, ahead, &step).await;
    let brought = result.map(|(held, sent)| {
        let left_out = total.saturating_sub(sent.bytes);
        let detail = (left_out > 0).then(|| format!("the engine had {left_out} of {total} bytes"));
        step.finish(Outcome::Done, detail);
        Brought {
            image: held,
            sent: Some(sent),
        }
    });
    (index, brought)
}

/// Removes what this run brought.
async fn take_back<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    brought: &[Option<Brought>],
) {
    for (image, one) in images.iter().zip(brought) {
        if one.as_ref().is_some_and(|one| one.sent.is_some()) {
            let private = private_tag(&image.reference, &image.config_digest);
            loader.undo(&private, None).await;
        }
    }
}

#[cfg(test)]
mod tests;
