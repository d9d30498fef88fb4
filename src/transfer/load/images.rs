//! All images of a bundle, from the first look to the last tag.

use serde::Serialize;

use super::batch::bring_batches;
use super::bring::{Brought, bring_chained, step};
use super::complete::missing;
use super::error::LoadError;
use super::held::held_chains;
use super::one::Loader;
use super::order::Pending;
use super::source::{ImageSource, check_source};
use super::tags;
use crate::engine::{ContainerEngine, EngineFacts, LoadRoute};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, StepStatus, notice};

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
    let missing = missing(&load, &images).await?;
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
            step(reporter, image, total).finish(StepStatus::AlreadyDone, None);
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

/// Sends what is not there, and keeps in `brought` what came.
async fn bring_missing<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    brought: &mut [Option<Brought>],
    reporter: &dyn Reporter,
) -> Result<(), LoadError> {
    let there = brought.iter().enumerate();
    let missing = there.filter(|(_, one)| one.is_none());
    let missing: Vec<_> = missing.map(|(index, _)| index).collect();
    let Some(first) = missing.first().map(|index| &images[*index]) else {
        return Ok(());
    };
    let chains = held_chains(loader, first).await?;
    notice(
        reporter,
        Level::Info,
        "load.route",
        loader.route.explain(loader.facts),
    );
    match loader.route {
        LoadRoute::Stored => bring_batches(loader, images, &missing, brought, reporter).await,
        LoadRoute::Inflated { .. } => {
            let pending = missing.into_iter();
            let pending = pending.map(|index| Pending::new(index, &images[index]));
            bring_chained(
                loader,
                images,
                (pending.collect(), chains),
                brought,
                reporter,
            )
            .await
        }
    }
}

/// Removes what this run brought.
async fn take_back<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    brought: &[Option<Brought>],
) {
    for (image, one) in images.iter().zip(brought) {
        if one.as_ref().is_some_and(|one| one.sent.is_some()) {
            loader.undo(image, None).await;
        }
    }
}
