//! What the content of the layers adds to a bundle: the list of packages, and
//! the migrations of the release.

use std::collections::BTreeMap;

use super::CreateError;
use super::resolve::Resolved;
use crate::bundle::fit::misfits;
use crate::bundle::layout::{LayoutError, Planned};
use crate::bundle::manifest::BundleImage;
use crate::bundle::migrations::settle;
use crate::bundle::sbom::{self, Bom, ImageContent, LayerContent};
use crate::bundle::spec::BundleSpec;
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, notice};

/// Says what in the definition does not fit the images.
pub(super) fn fit(spec: &BundleSpec, images: &Resolved, reporter: &dyn Reporter) {
    let configs = images
        .iter()
        .map(|(key, (_, image))| (key.as_str(), image.config.as_slice()));
    for text in misfits(&spec.stack, &configs.collect()) {
        notice(reporter, Level::Warning, "create.misfit", text);
    }
}

/// What was kept of each layer.
pub(super) type Contents = BTreeMap<Digest, LayerContent>;

/// The list of packages.
pub(super) fn packages(
    planned: &Planned,
    contents: &Contents,
    reporter: &dyn Reporter,
) -> Result<Vec<u8>, CreateError> {
    for problem in sbom::unread(planned.manifest(), contents) {
        let text = format!("the list of packages is incomplete: {problem}");
        notice(reporter, Level::Warning, "create.packages-unread", text);
    }
    let bom = Bom::of(planned.manifest(), contents).map_err(CreateError::Bom)?;
    Ok(bom.to_json().map_err(LayoutError::Json)?)
}

/// Takes the migrations that the definition leaves out from the image of the
/// migration job, and holds those that it names against it.
pub(super) fn migrations(
    planned: &mut Planned,
    contents: &Contents,
    reporter: &dyn Reporter,
) -> Result<(), CreateError> {
    let mut stack = planned.stack().clone();
    let Some(image) = planned.manifest().images.get(&stack.migration.image) else {
        return Ok(());
    };
    let reference = image.reference.clone();
    let layers = layers(image, contents);
    let unseen = settle(&mut stack, &ImageContent::of(layers)).map_err(|source| {
        CreateError::Migrations {
            reference: reference.clone(),
            source,
        }
    })?;
    for kind in unseen {
        let text = format!(
            "`{reference}` shows no migrations of {kind}: those that the definition names were \
             not compared"
        );
        notice(reporter, Level::Warning, "create.migrations-unseen", text);
    }
    Ok(planned.complete(stack)?)
}

fn layers<'a>(
    image: &'a BundleImage,
    contents: &'a Contents,
) -> impl Iterator<Item = &'a LayerContent> {
    let layers = image.layers.iter();
    layers.filter_map(|layer| contents.get(&layer.digest))
}
