//! Real, signed bundles out of small images made up on the spot.
//!
//! For tests and rehearsals: no registry and no engine is needed, and the
//! file is laid out, signed and written by the same code as any other.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use semver::Version;
use serde_json::json;

use crate::bundle::layout::{Contents, Delta, LayoutError, Planned};
use crate::bundle::manifest::{BundleManifest, Platform, Release, UpgradeRules};
use crate::oci::digest::Digest;
use crate::oci::image::{Image, ImageError};
use crate::sign::TrustStatement;
use crate::stack::Stack;
use crate::sys::partial_set::PartialSet;

/// A layer as a registry would serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeLayer {
    /// Stored bytes.
    pub bytes: Vec<u8>,
    /// Digest of the inflated tar.
    pub diff_id: Digest,
    /// Bytes of the inflated tar.
    pub unpacked: u64,
    gzip: bool,
}

impl FakeLayer {
    /// A gzip layer of these files, as path and content.
    pub fn files(files: &[(&str, &[u8])]) -> Self {
        let tar = tar_of(files);
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        // Writing to memory does not fail.
        let bytes = encoder
            .write_all(&tar)
            .and_then(|()| encoder.finish())
            .unwrap_or_default();
        Self {
            bytes,
            diff_id: Digest::of(&tar),
            unpacked: tar.len() as u64,
            gzip: true,
        }
    }

    /// A layer of these files that is not compressed.
    pub fn plain(files: &[(&str, &[u8])]) -> Self {
        let tar = tar_of(files);
        Self {
            diff_id: Digest::of(&tar),
            unpacked: tar.len() as u64,
            bytes: tar,
            gzip: false,
        }
    }

    /// Digest of the stored bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn media_type(&self) -> &'static str {
        if self.gzip {
            "application/vnd.oci.image.layer.v1.tar+gzip"
        } else {
            "application/vnd.oci.image.layer.v1.tar"
        }
    }
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if builder.append_data(&mut header, path, *content).is_err() {
            return Vec::new();
        }
    }
    builder.into_inner().unwrap_or_default()
}

/// An image: manifest, config and layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeImage {
    /// Bytes of the manifest.
    pub manifest: Vec<u8>,
    /// Bytes of the config.
    pub config: Vec<u8>,
    /// Layers from the base up.
    pub layers: Vec<FakeLayer>,
}

impl FakeImage {
    /// An image of these layers for linux/amd64.
    pub fn new(layers: Vec<FakeLayer>) -> Self {
        Self::with_config(layers, &json!({}))
    }

    /// An image for Linux on another architecture.
    pub fn on(architecture: &str, layers: Vec<FakeLayer>) -> Self {
        Self::build(architecture, layers, &json!({}))
    }

    /// The same with container settings such as `{"Cmd": ["/bin/true"]}`.
    pub fn with_config(layers: Vec<FakeLayer>, settings: &serde_json::Value) -> Self {
        Self::build("amd64", layers, settings)
    }

    fn build(architecture: &str, layers: Vec<FakeLayer>, settings: &serde_json::Value) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string()
        .into_bytes();
        let descriptors: Vec<_> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": layer.media_type(),
                    "digest": layer.digest(),
                    "size": layer.bytes.len(),
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(&config),
                "size": config.len(),
            },
            "layers": descriptors,
        })
        .to_string()
        .into_bytes();
        Self {
            manifest,
            config,
            layers,
        }
    }
}

/// Why a made-up bundle could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FakeError {
    /// An image does not fit together.
    #[error("made-up image is wrong")]
    Image(#[from] ImageError),
    /// The stack definition does not fit its type.
    #[error("made-up stack is wrong")]
    Stack(#[from] toml::de::Error),
    /// The bundle cannot be laid out.
    #[error("made-up bundle is wrong")]
    Layout(#[from] LayoutError),
    /// The file cannot be written.
    #[error("made-up bundle cannot be written")]
    Io(#[from] io::Error),
}

/// A bundle in the making.
#[derive(Debug, Clone)]
pub struct Fake {
    /// The release; `rehearsal 1.0.0` with counter 1 at first.
    pub release: Release,
    /// The oldest lfctl; 0.1.0 at first.
    pub lfctl: Version,
    /// What may be upgraded to it; nothing at first.
    pub upgrade: UpgradeRules,
    /// The stack definition.
    pub stack: Stack,
    /// Reference and image by key.
    pub images: BTreeMap<String, (String, FakeImage)>,
    /// What it says of other keys; nothing at first.
    pub trust: TrustStatement,
    /// What it leaves out; nothing at first.
    pub delta: Option<Delta>,
    /// The SBOM, whatever it says; none at first.
    pub sbom: Option<Vec<u8>>,
}

impl Fake {
    /// A bundle with a small stack of one part of each kind, and its images
    /// `app` and `gateway`, which share a layer.
    ///
    /// # Errors
    ///
    /// The definition beside this file does not fit its type.
    pub fn small() -> Result<Self, FakeError> {
        let stack = toml::from_str(include_str!("bundle.toml"))?;
        let base = FakeLayer::files(&[("etc/base", b"base")]);
        let app = FakeLayer::files(&[("bin/app", b"app")]);
        let gateway = FakeLayer::plain(&[("bin/gateway", b"gateway")]);
        Ok(Self::new(stack)
            .image(
                "app",
                "docker.io/rehearsal/app:1.0.0",
                FakeImage::new(vec![base.clone(), app]),
            )
            .image(
                "gateway",
                "docker.io/rehearsal/gateway:1.0.0",
                FakeImage::new(vec![base, gateway]),
            ))
    }

    /// A bundle without images around a stack definition.
    pub fn new(stack: Stack) -> Self {
        Self {
            release: Release {
                name: "rehearsal".to_owned(),
                version: Version::new(1, 0, 0),
                counter: 1,
                sdk: BTreeMap::new(),
            },
            lfctl: Version::new(0, 1, 0),
            upgrade: UpgradeRules::default(),
            stack,
            images: BTreeMap::new(),
            trust: TrustStatement::default(),
            delta: None,
            sbom: None,
        }
    }

    /// Adds an image under the key that services use.
    #[must_use]
    pub fn image(mut self, key: &str, reference: &str, image: FakeImage) -> Self {
        self.images
            .insert(key.to_owned(), (reference.to_owned(), image));
        self
    }

    /// Signs the bundle and writes it to `path`.
    pub fn write(
        self,
        path: &Path,
        key: &crate::sign::SecretKey,
    ) -> Result<BundleManifest, FakeError> {
        let mut layers: BTreeMap<Digest, FakeLayer> = BTreeMap::new();
        let mut images = BTreeMap::new();
        for (name, (reference, image)) in self.images {
            for layer in image.layers {
                layers.insert(layer.digest(), layer);
            }
            let parsed = Image::parse(image.manifest, image.config)?;
            images.insert(name, (reference, parsed));
        }
        let planned = Planned::new(Contents {
            release: self.release,
            created: None,
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
            },
            lfctl: self.lfctl,
            upgrade: self.upgrade,
            stack: self.stack,
            images,
            trust: self.trust,
            delta: self.delta,
            sbom: self.sbom.is_some(),
        })?;
        let file = PartialSet::whole(path)?;
        file.reserve(planned.size())?;
        for slot in planned.slots() {
            if let Some(layer) = layers.get(&slot.digest) {
                file.write_all_at(&layer.bytes, slot.offset)?;
            }
        }
        let unpacked = layers
            .iter()
            .map(|(digest, layer)| (*digest, layer.unpacked))
            .collect();
        let signed = planned.seal(&unpacked, self.sbom)?.sign(key)?;
        signed.write(&file)?;
        file.finish()?;
        Ok(signed.manifest().clone())
    }
}
