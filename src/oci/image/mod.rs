//! Image manifests and configs, as far as a bundle depends on them.
//!
//! An image is two small documents and its layers. [`Image`] holds the two as
//! they were served, byte for byte, and what follows from them.

use jiff::Timestamp;
use oci_spec::image::{ImageConfiguration, ImageManifest, MediaType};

use super::digest::Digest;

/// Compressions of a layer that the engines and lfctl both inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip.
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
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// When the image was made, where it says so.
    pub created: Option<Timestamp>,
}

/// Why two documents are not an image that can be bundled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The manifest is no image manifest.
    #[error("image manifest cannot be read")]
    Manifest(#[source] oci_spec::OciSpecError),
    /// The config is no image config.
    #[error("image config cannot be read")]
    Config(#[source] oci_spec::OciSpecError),
    /// A digest in a document is not sha256.
    #[error("image names a blob by something else than sha256")]
    Digest(#[from] super::digest::ParseDigestError),
    /// The config that was read is not the one the manifest names.
    #[error("image manifest names config {named} of {size} bytes; {found} of {len} bytes was read")]
    OtherConfig {
        /// Digest in the manifest.
        named: Digest,
        /// Size in the manifest.
        size: u64,
        /// Digest of the bytes.
        found: Digest,
        /// Size of the bytes.
        len: usize,
    },
    /// Manifest and config disagree about the number of layers.
    #[error("image manifest has {manifest} layers, its config {config}")]
    LayerCount {
        /// Layers of the manifest.
        manifest: usize,
        /// Layers of the config.
        config: usize,
    },
    /// A layer that Docker 20.10 or lfctl cannot inflate.
    #[error("layer {digest} has media type `{media_type}`; only tar and tar+gzip can be bundled")]
    MediaType {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
}

impl Image {
    /// Reads both documents and checks that they belong together.
    pub fn parse(manifest: Vec<u8>, config: Vec<u8>) -> Result<Self, ImageError> {
        let parsed =
            ImageManifest::from_reader(manifest.as_slice()).map_err(ImageError::Manifest)?;
        let named: Digest = parsed.config().digest().to_string().parse()?;
        let found = Digest::of(&config);
        let size = parsed.config().size();
        if named != found || size != config.len() as u64 {
            return Err(ImageError::OtherConfig {
                named,
                size,
                found,
                len: config.len(),
            });
        }
        let details =
            ImageConfiguration::from_reader(config.as_slice()).map_err(ImageError::Config)?;
        let layers = layers(&parsed, &details)?;
        let media_type = parsed
            .media_type()
            .clone()
            .unwrap_or(MediaType::ImageManifest);
        Ok(Self {
            manifest,
            config,
            media_type: media_type.into(),
            layers,
            os: details.os().to_string(),
            architecture: details.architecture().to_string(),
            created: details
                .created()
                .as_ref()
                .and_then(|created| created.parse().ok()),
        })
    }
}

/// Digest and size of the config that an image manifest names.
pub fn config_of(manifest: &[u8]) -> Result<(Digest, u64), ImageError> {
    let parsed = ImageManifest::from_reader(manifest).map_err(ImageError::Manifest)?;
    let digest = parsed.config().digest().to_string().parse()?;
    Ok((digest, parsed.config().size()))
}

fn layers(
    manifest: &ImageManifest,
    config: &ImageConfiguration,
) -> Result<Vec<ImageLayer>, ImageError> {
    let diff_ids = config.rootfs().diff_ids();
    if manifest.layers().len() != diff_ids.len() {
        return Err(ImageError::LayerCount {
            manifest: manifest.layers().len(),
            config: diff_ids.len(),
        });
    }
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
        let digest = descriptor.digest().to_string().parse()?;
        let media_type: String = descriptor.media_type().clone().into();
        let compression = compression(&media_type).ok_or_else(|| ImageError::MediaType {
            digest,
            media_type: media_type.clone(),
        })?;
        layers.push(ImageLayer {
            digest,
            size: descriptor.size(),
            diff_id: diff_id.parse()?,
            media_type,
            compression,
        });
    }
    Ok(layers)
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
mod tests {
    use super::*;

    fn documents(layer_type: &str, diff_ids: &str) -> (Vec<u8>, Vec<u8>) {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
        )
        .into_bytes();
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"{layer_type}","digest":"{}","size":3}}]}}"#,
            Digest::of(&config),
            config.len(),
            Digest::of(b"abc"),
        )
        .into_bytes();
        (manifest, config)
    }

    #[test]
    fn pairs_layers_with_their_diff_ids() {
        let diff_id = Digest::of(b"inflated");
        let (manifest, config) = documents(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            &format!("\"{diff_id}\""),
        );
        let image = Image::parse(manifest, config).unwrap();
        assert_eq!(image.layers[0].diff_id, diff_id);
        assert_eq!(image.layers[0].compression, Compression::Gzip);
        assert_eq!(image.created.unwrap().to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(
            (image.os.as_str(), image.architecture.as_str()),
            ("linux", "amd64")
        );
    }

    #[test]
    fn refuses_what_does_not_belong_together() {
        let (manifest, config) = documents("application/vnd.oci.image.layer.v1.tar", "");
        assert!(matches!(
            Image::parse(manifest.clone(), config.clone()),
            Err(ImageError::LayerCount {
                manifest: 1,
                config: 0
            })
        ));
        let mut other = config;
        other.push(b' ');
        assert!(matches!(
            Image::parse(manifest, other),
            Err(ImageError::OtherConfig { .. })
        ));
    }

    #[test]
    fn refuses_layers_that_old_engines_cannot_inflate() {
        let diff_id = format!("\"{}\"", Digest::of(b""));
        for bad in [
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ] {
            let (manifest, config) = documents(bad, &diff_id);
            let error = Image::parse(manifest, config).unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}
