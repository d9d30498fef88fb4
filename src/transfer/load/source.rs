//! An image as it comes out of a bundle.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

use super::error::LoadError;
use crate::bundle::manifest::Layer;
use crate::oci::digest::Digest;

/// Host part of lfctl's own tags. `.local` is never served by a registry.
pub(super) const PRIVATE: &str = "lfctl.local";

/// Opens a layer by the digest of its stored blob. The reader fails, at the
/// latest at its end, when the bytes are not the ones the digest names.
pub type OpenLayer = Arc<dyn Fn(&Digest) -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// An image that is to be in the engine.
#[derive(Clone)]
pub struct ImageSource {
    /// Keys by which services name it.
    pub keys: Vec<String>,
    /// Fully qualified reference with a tag, as operators see it.
    pub reference: String,
    /// Digest of the image manifest.
    pub manifest_digest: Digest,
    /// Digest of the image config.
    pub config_digest: Digest,
    /// Bytes of the image manifest.
    pub manifest: Bytes,
    /// Bytes of the image config.
    pub config: Bytes,
    /// Layers from the base up.
    pub layers: Vec<Layer>,
    /// Blobs of `layers` that nothing at hand has, unless the engine does.
    pub absent: BTreeSet<Digest>,
    /// Opens each of the other `layers`.
    pub open: OpenLayer,
}

impl std::fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSource")
            .field("reference", &self.reference)
            .field("config_digest", &self.config_digest)
            .finish_non_exhaustive()
    }
}

/// lfctl's own tag for an image.
pub fn private_tag(reference: &str, config: &Digest) -> String {
    let name = reference
        .split_once('@')
        .map_or(reference, |(name, _)| name);
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let last = last.split_once(':').map_or(last, |(last, _)| last);
    format!("{PRIVATE}/{last}:{}", config.short())
}

pub(super) fn check_source(image: &ImageSource) -> Result<(), LoadError> {
    for (part, bytes, digest) in [
        ("config", &image.config, image.config_digest),
        ("manifest", &image.manifest, image.manifest_digest),
    ] {
        if Digest::of(bytes) != digest {
            return Err(LoadError::Source {
                reference: image.reference.clone(),
                part,
                digest,
            });
        }
    }
    Ok(())
}

pub(super) fn diff_ids(image: &ImageSource) -> Vec<String> {
    image
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect()
}
