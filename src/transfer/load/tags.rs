//! The names under which a loaded image is found.

use super::one::engine_error;
use super::source::private_tag;
use super::{ImageSource, LoadError};
use crate::engine::{ContainerEngine, EngineImage};
use crate::report::event::{Level, Reporter, notice};

/// Points lfctl's own tag and, if it is free, the operator's reference at
/// the image.
pub(super) async fn set<E: ContainerEngine>(
    engine: &E,
    image: &ImageSource,
    found: &EngineImage,
    reporter: &dyn Reporter,
) -> Result<Vec<String>, LoadError> {
    let failed = |source| engine_error(image, source);
    let private = private_tag(&image.reference, &image.config_digest);
    if !found.tags.contains(&private) {
        engine.tag(&found.id, &private).await.map_err(failed)?;
    }
    let mut tags = vec![private];
    match engine.image(&image.reference).await.map_err(failed)? {
        Some(other) if other.id != found.id => notice(
            reporter,
            Level::Warning,
            "image.tag-taken",
            format!(
                "`{}` already points at {}, not at the bundle's {}; it was left alone",
                image.reference, other.id, found.id
            ),
        ),
        Some(_) => tags.push(image.reference.clone()),
        None => {
            engine
                .tag(&found.id, &image.reference)
                .await
                .map_err(failed)?;
            tags.push(image.reference.clone());
        }
    }
    Ok(tags)
}
