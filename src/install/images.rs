//! The images of a bundle, as the engine will know them and as they are sent.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use super::load::{ImageSource, private_tag};
use crate::appliance::state::InstalledImage;
use crate::bundle::{Bundle, OpenError};
use crate::engine::EngineFacts;
use crate::oci::digest::Digest;

/// What the engine will call each image, by key: Docker's classic store and
/// Podman name an image by its config, a containerd store by its manifest.
pub fn expected(bundle: &Bundle, facts: &EngineFacts) -> BTreeMap<String, InstalledImage> {
    bundle
        .manifest()
        .images
        .iter()
        .map(|(key, image)| {
            let id = if facts.containerd_store {
                image.manifest
            } else {
                image.config
            };
            let installed = InstalledImage {
                reference: image.reference.clone(),
                id: id.to_string(),
                // Written down before they exist, so that whatever an
                // interrupted load leaves behind can be found again.
                tags: vec![
                    private_tag(&image.reference, &image.config),
                    image.reference.clone(),
                ],
            };
            (key.clone(), installed)
        })
        .collect()
}

/// Every distinct image of the bundle, ready to be sent.
pub fn sources(bundle: &Bundle) -> Result<Vec<ImageSource>, OpenError> {
    let shared = Arc::new(bundle.clone());
    let mut sources: BTreeMap<Digest, ImageSource> = BTreeMap::new();
    for (key, image) in &bundle.manifest().images {
        if let Some(source) = sources.get_mut(&image.manifest) {
            source.keys.push(key.clone());
            continue;
        }
        let layers = Arc::clone(&shared);
        let source = ImageSource {
            keys: vec![key.clone()],
            reference: image.reference.clone(),
            manifest_digest: image.manifest,
            config_digest: image.config,
            manifest: bundle.blob(&image.manifest)?.into(),
            config: bundle.blob(&image.config)?.into(),
            layers: image.layers.clone(),
            open: Arc::new(move |digest: &Digest| {
                let reader = layers.reader(digest).map_err(io::Error::other)?;
                Ok(Box::new(reader) as Box<dyn Read + Send>)
            }),
        };
        sources.insert(image.manifest, source);
    }
    Ok(sources.into_values().collect())
}
