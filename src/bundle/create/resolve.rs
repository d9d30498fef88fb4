//! Which image each reference of a spec stands for.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use oci_spec::distribution::Reference;

use super::source::Source;
use super::{CreateError, Options, PARALLEL};
use crate::bundle::lock::Locked;
use crate::bundle::manifest::Platform;
use crate::bundle::spec::{BundleSpec, SpecError, parse_reference};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::report::event::{Outcome, Reporter, Step, Unit};

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
    let name = platform.to_string();
    let locked = match &options.lock {
        Some(lock) => {
            let locked = lock.platforms.get(&name);
            Some(locked.ok_or_else(|| {
                CreateError::LockPlatform {
                    found: lock
                        .platforms
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", "),
                    wanted: name,
                }
            })?)
        }
        None => None,
    };
    let mut found = BTreeMap::new();
    let mut pending = stream::iter(distinct)
        .map(|text| resolve_one(text, locked, platform, source))
        .buffer_unordered(PARALLEL);
    while let Some((text, reference, image)) = pending.try_next().await? {
        found.insert(text, (reference, image));
        progress.progress(found.len() as u64);
    }
    drop(pending);
    progress.finish(Outcome::Done, Some(format!("{} images", found.len())));
    let lock = Locked {
        images: found
            .iter()
            .map(|(text, (_, image))| (text.clone(), Digest::of(&image.manifest)))
            .collect(),
        layers: locked.map(|lock| lock.layers.clone()).unwrap_or_default(),
    };
    let images = spec
        .images
        .iter()
        .filter_map(|(key, text)| Some((key.clone(), found.get(text)?.clone())))
        .collect();
    Ok((images, lock))
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
