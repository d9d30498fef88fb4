//! Manifests and configs of images, as far as they are used.
//!
//! Documents come from anywhere, and much in them is of no matter here:
//! `null` is as good as nothing, and what is not used need not make sense.

use jiff::Timestamp;
use serde::Deserialize;

use super::error::{ImageError, NotAnImage};
use crate::sys::text::one_line;

/// Media types of the config of an image. Docker takes the ones behind the
/// first two for images too: old registries hand them out.
pub(in crate::oci) const CONFIG_TYPES: [&str; 5] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
    "application/json",
    "text/html",
];
/// What a manifest is that does not say.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) media_type: Option<String>,
    config: Option<Descriptor>,
    pub(super) layers: Option<Vec<Descriptor>>,
    schema_version: Option<serde_json::Value>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: Option<String>,
    pub(super) digest: String,
    pub(super) size: u64,
}

/// A config, as far as it is used.
#[derive(Default, Deserialize)]
struct Config {
    os: Option<String>,
    architecture: Option<String>,
    created: Option<serde_json::Value>,
    rootfs: Option<Rootfs>,
}

#[derive(Default, Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<String>>,
}

impl Manifest {
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Descriptor), ImageError> {
        if is_web_page(bytes) {
            return Err(ImageError::NotAnImage(NotAnImage::WebPage));
        }
        let mut manifest: Self = serde_json::from_slice(bytes).map_err(ImageError::Manifest)?;
        let is_first = manifest
            .schema_version
            .as_ref()
            .is_some_and(|said| *said == 1);
        if is_first || manifest.fs_layers.is_some() {
            return Err(ImageError::NotAnImage(NotAnImage::Schema1));
        }
        let Some(config) = manifest.config.take() else {
            let kind = manifest.media_type.filter(|kind| kind.contains("artifact"));
            return Err(ImageError::NotAnImage(
                kind.map_or(NotAnImage::OtherDocument, NotAnImage::Artifact),
            ));
        };
        let kind = config.media_type.clone().unwrap_or_default();
        if !kind.is_empty() && !CONFIG_TYPES.contains(&kind.as_str()) {
            return Err(ImageError::NotAnImage(NotAnImage::Artifact(cleaned(&kind))));
        }
        Ok((manifest, config))
    }
}

/// Whether a document is a page for people, as proxies and portals send them.
pub fn is_web_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

/// A media type as people may see it.
pub(super) fn cleaned(kind: &str) -> String {
    one_line(&kind.replace(char::is_control, " "))
}

/// What an image says of its platform, and the digests of its inflated layers.
#[derive(Debug)]
pub struct Details {
    /// Such as `linux`; empty where the config does not say.
    pub os: String,
    /// Such as `amd64`; empty where the config does not say.
    pub architecture: String,
    /// Digests of the inflated layers, from the base up.
    pub diff_ids: Vec<String>,
    pub(super) created: Option<Timestamp>,
}

impl Details {
    /// Reads an image config.
    pub fn read(config: &[u8]) -> Result<Self, ImageError> {
        let config: Config = serde_json::from_slice(config).map_err(ImageError::Config)?;
        let created = config.created.as_ref().and_then(serde_json::Value::as_str);
        Ok(Self {
            os: config.os.unwrap_or_default().to_lowercase(),
            architecture: normal_architecture(&config.architecture.unwrap_or_default()),
            created: created.and_then(|created| created.parse().ok()),
            diff_ids: config
                .rootfs
                .unwrap_or_default()
                .diff_ids
                .unwrap_or_default(),
        })
    }
}

/// An architecture in OCI's word for it.
pub(in crate::oci) fn normal_architecture(said: &str) -> String {
    match said.to_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        said => said.to_owned(),
    }
}
