//! Which image each reference of a spec stands for.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::distribution::Reference;

use super::CreateError;
use super::options::{Options, PARALLEL};
use super::source::Source;
use crate::bundle::lock::Locked;
use crate::bundle::manifest::Platform;
use crate::bundle::spec::{BundleSpec, SpecError, parse_reference, tagged};
use crate::oci::digest::Digest;
use crate::oci::image::{Image, ImageError, MOST_LAYERS};
use crate::report::event::{Level, Reporter, Step, StepStatus, Unit, notice};

/// Images by their key in the spec.
pub(super) type Resolved = BTreeMap<String, (Reference, Image)>;

/// Finds the image behind each reference and holds it against the lock.
pub(super) async fn resolve(
    spec: &BundleSpec,
    options: &Options,
    platform: &Platform,
    source: &Source,
    reporter: &dyn Reporter,
) -> Result<(Resolved, Locked), CreateError> {
    let distinct: BTreeSet<&String> = spec.images.values().collect();
    let progress = Step::sized(
        reporter,
        "resolve",
        "Resolving images",
        Some(distinct.len() as u64),
        Unit::Items,
    );
    let known = known(options, platform)?;
    let locked = known.filter(|_| options.locked);
    let mut found = BTreeMap::new();
    let mut pending = stream::iter(distinct)
        .map(|text| resolve_one(text, locked, platform, source))
        .buffer_unordered(PARALLEL);
    while let Some((text, reference, image)) = pending.try_next().await? {
        found.insert(text, (reference, image));
        progress.progress(found.len() as u64);
    }
    drop(pending);
    progress.finish(StepStatus::Done, Some(format!("{} images", found.len())));
    let moved = known.map(|known| moved(known, &found)).unwrap_or_default();
    for text in moved {
        notice(reporter, Level::Warning, "create.tag-moved", text);
    }
    let lock = Locked {
        images: found
            .iter()
            .map(|(text, (_, image))| (text.clone(), Digest::of(&image.manifest)))
            .collect(),
        layers: known.map(|known| sizes(known, &found)).unwrap_or_default(),
    };
    let images = spec
        .images
        .iter()
        .filter_map(|(key, text)| Some((key.clone(), found.get(text)?.clone())))
        .collect();
    Ok((images, lock))
}

/// What the lock says of the platform.
fn known<'a>(options: &'a Options, platform: &Platform) -> Result<Option<&'a Locked>, CreateError> {
    let Some(lock) = &options.lock else {
        return Ok(None);
    };
    let wanted = platform.to_string();
    match lock.platforms.get(&wanted) {
        None if options.locked => {
            let found: Vec<_> = lock.platforms.keys().cloned().collect();
            let found = found.join(", ");
            Err(CreateError::LockPlatform { found, wanted })
        }
        known => Ok(known),
    }
}

/// What the lock knows of the layers of images that are the ones it names.
/// Another image may say anything of the layers it shares with them.
fn sizes(known: &Locked, found: &BTreeMap<String, (Reference, Image)>) -> BTreeMap<Digest, u64> {
    let same = found
        .iter()
        .filter(|(text, (_, image))| known.images.get(*text) == Some(&Digest::of(&image.manifest)));
    same.flat_map(|(_, (_, image))| &image.layers)
        .filter_map(|layer| Some((layer.digest, *known.layers.get(&layer.digest)?)))
        .collect()
}

/// Says of each reference that it stands for another image than it did.
fn moved(known: &Locked, found: &BTreeMap<String, (Reference, Image)>) -> Vec<String> {
    let moved = found.iter().filter_map(|(text, (_, image))| {
        let (before, now) = (known.images.get(text)?, Digest::of(&image.manifest));
        (*before != now).then(|| {
            format!("`{text}` moved: it is now {now}, it was {before}; the lock will say so")
        })
    });
    moved.collect()
}

async fn resolve_one(
    text: &str,
    lock: Option<&Locked>,
    platform: &Platform,
    source: &Source,
) -> Result<(String, Reference, Image), CreateError> {
    let reference = parse_reference(text).map_err(|problem| SpecError::Reference {
        key: String::new(),
        reference: text.to_owned(),
        problem,
    })?;
    let locked = match lock {
        Some(lock) => Some(
            *lock
                .images
                .get(text)
                .ok_or_else(|| CreateError::NotLocked(text.to_owned()))?,
        ),
        None => None,
    };
    let image = source.image(&reference, platform).await?;
    if image.layers.len() > MOST_LAYERS {
        return Err(CreateError::Image {
            reference: tagged(&reference),
            source: ImageError::TooManyLayers(image.layers.len()),
        });
    }
    let found = Digest::of(&image.manifest);
    if let Some(locked) = locked
        && locked != found
    {
        return Err(CreateError::Moved {
            reference: text.to_owned(),
            locked,
            found,
        });
    }
    Ok((text.to_owned(), reference, image))
}
