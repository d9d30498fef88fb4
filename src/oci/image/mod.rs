//! Image manifests and configs, as far as a bundle depends on them.
//!
//! An image is two small documents and its layers. [`Image`] holds the two as
//! they were served, byte for byte, and what follows from them.

mod document;
mod error;

use jiff::Timestamp;

pub(super) use self::document::{CONFIG_TYPES, normal_architecture};
use self::document::{Descriptor, MANIFEST_TYPE, Manifest, cleaned};
pub use self::document::{Details, is_web_page};
pub use self::error::{ImageError, MOST_LAYERS, NotAnImage};
use super::digest::Digest;

/// Compressions of a layer that the engines and lfctl both inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    Gzip,
}

/// A layer as the image manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// Digest of the stored blob.
    pub digest: Digest,
    /// Bytes of the stored blob.
    pub size: u64,
    /// Digest of the inflated layer, from the image config.
    pub diff_id: Digest,
    /// Media type as the manifest spells it.
    pub media_type: String,
    /// What the media type says.
    pub compression: Compression,
}

/// An image: manifest and config as they were served, and the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Bytes of the manifest.
    pub manifest: Vec<u8>,
    /// Bytes of the config.
    pub config: Vec<u8>,
    /// Media type of the manifest.
    pub media_type: String,
    /// Layers from the base up.
    pub layers: Vec<ImageLayer>,
    /// Such as `linux`; empty where the config does not say.
    pub os: String,
    /// Such as `amd64`; empty where the config does not say.
    pub architecture: String,
    /// When the image was made, where it says so.
    pub created: Option<Timestamp>,
}

impl Image {
    /// Reads both documents and checks that they belong together.
    pub fn parse(manifest: Vec<u8>, config: Vec<u8>) -> Result<Self, ImageError> {
        let (parsed, named) = Manifest::read(&manifest)?;
        let size = named.size;
        let named: Digest = named.digest.parse()?;
        let found = Digest::of(&config);
        if named != found || size != config.len() as u64 {
            return Err(ImageError::OtherConfig {
                named,
                size,
                found,
                len: config.len(),
            });
        }
        let details = Details::read(&config)?;
        let layers = layers(&parsed, &details)?;
        let media_type = parsed.media_type.filter(|kind| !kind.is_empty());
        Ok(Self {
            manifest,
            config,
            media_type: media_type.unwrap_or_else(|| MANIFEST_TYPE.to_owned()),
            layers,
            os: details.os,
            architecture: details.architecture,
            created: details.created,
        })
    }

    /// Whether it is for this platform, as far as it says.
    pub fn is_for(&self, os: &str, architecture: &str) -> bool {
        let is_same = |said: &str, wanted: &str| said.is_empty() || said == wanted;
        is_same(&self.os, os) && is_same(&self.architecture, architecture)
    }
}

/// Digest and size of the config that an image manifest names.
pub fn config_of(manifest: &[u8]) -> Result<(Digest, u64), ImageError> {
    let (_, config) = Manifest::read(manifest)?;
    Ok((config.digest.parse()?, config.size))
}

fn layers(manifest: &Manifest, config: &Details) -> Result<Vec<ImageLayer>, ImageError> {
    let descriptors = manifest.layers.as_deref().unwrap_or_default();
    // What is no layer says more than that there are too many or too few.
    let mut kinds = Vec::with_capacity(descriptors.len());
    for descriptor in descriptors {
        kinds.push(kind_of(descriptor)?);
    }
    if descriptors.len() != config.diff_ids.len() {
        return Err(ImageError::LayerCount {
            manifest: descriptors.len(),
            config: config.diff_ids.len(),
        });
    }
    let mut layers = Vec::with_capacity(descriptors.len());
    for ((descriptor, diff_id), kind) in descriptors.iter().zip(&config.diff_ids).zip(kinds) {
        let (media_type, compression) = kind;
        layers.push(ImageLayer {
            digest: descriptor.digest.parse()?,
            size: descriptor.size,
            diff_id: diff_id.parse()?,
            media_type,
            compression,
        });
    }
    Ok(layers)
}

fn kind_of(descriptor: &Descriptor) -> Result<(String, Compression), ImageError> {
    let digest = descriptor.digest.parse()?;
    let media_type = descriptor.media_type.clone().unwrap_or_default();
    if let Some(compression) = compression(&media_type) {
        return Ok((media_type, compression));
    }
    let is_layer = [
        "application/vnd.oci.image.layer.",
        "application/vnd.docker.image.rootfs.",
    ]
    .iter()
    .any(|start| media_type.starts_with(start));
    Err(
        if media_type.contains("nondistributable") || media_type.contains(".foreign.") {
            ImageError::Foreign(digest)
        } else if is_layer && media_type.ends_with("zstd") {
            ImageError::Zstd(digest)
        } else if is_layer || media_type.is_empty() {
            let media_type = cleaned(&media_type);
            ImageError::MediaType { digest, media_type }
        } else {
            ImageError::NotAnImage(NotAnImage::Artifact(cleaned(&media_type)))
        },
    )
}

/// What a layer's media type says about its compression; `None` for zstd and
/// for layers that may not be distributed.
pub fn compression(media_type: &str) -> Option<Compression> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Some(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Compression::Gzip),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
