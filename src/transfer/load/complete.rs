//! Whether everything that is to be loaded is at hand.
//!
//! A delta bundle leaves out layers that a base has. Before anything is
//! sent, each of them must be in the engine, below the same layers, or in a
//! base bundle that was named.

use std::collections::BTreeSet;

use super::error::LoadError;
use super::held::held_chains;
use super::one::Loader;
use super::source::{ImageSource, diff_ids};
use crate::engine::{ContainerEngine, EngineFacts};
use crate::facts::MissingLayer;

/// The layers that would be missing if these images were loaded now.
///
/// # Errors
///
/// The engine does not answer.
pub async fn missing_layers<E: ContainerEngine>(
    engine: &E,
    facts: &EngineFacts,
    images: &[ImageSource],
) -> Result<Vec<MissingLayer>, LoadError> {
    let loader = Loader::new(engine, facts);
    missing(&loader, images).await
}

pub(super) async fn missing<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
) -> Result<Vec<MissingLayer>, LoadError> {
    let mut missing = Vec::new();
    let Some(first) = images.iter().find(|image| !image.absent.is_empty()) else {
        return Ok(missing);
    };
    let chains = held_chains(loader, first).await?;
    for image in images {
        if image.absent.is_empty() || loader.present(image).await?.is_some() {
            continue;
        }
        let held = chains.held(&diff_ids(image));
        let mut seen = BTreeSet::new();
        let needed = image.layers[held..].iter();
        missing.extend(
            needed
                .filter(|layer| image.absent.contains(&layer.digest) && seen.insert(layer.digest))
                .map(|layer| MissingLayer {
                    reference: image.reference.clone(),
                    layer: layer.digest,
                    size: layer.size,
                }),
        );
    }
    Ok(missing)
}
