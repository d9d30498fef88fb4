//! What the engine has already.

use super::error::LoadError;
use super::one::{Loader, engine_error};
use super::order::Chains;
use super::source::{ImageSource, PRIVATE};
use crate::engine::{ContainerEngine, EngineError, EngineImage, LoadRoute};

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

pub(super) async fn held_chains<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    image: &ImageSource,
) -> Result<Chains, LoadError> {
    chains(loader.engine, loader.route)
        .await
        .map_err(|source| engine_error(image, source))
}
