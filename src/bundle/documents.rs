//! The documents of a bundle that follow from its manifest and its images.
//!
//! Writer and reader share them: the writer stores what these functions
//! return, the reader calls them again and compares bytes. So nothing that a
//! bundle says twice can say two things, and `manifest.json`, which no
//! signature covers, cannot differ from what is signed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::manifest::{
    ARTIFACT_TYPE, Blob, BundleImage, BundleManifest, Layer, MANIFEST_TYPE, SBOM_TYPE, STACK_TYPE,
};
use crate::oci::digest::Digest;
use crate::oci::image::Image;

/// Entry of the signature over the index.
pub(super) const SIGNATURE_NAME: &str = "index.json.minisig";
/// Entry of the index that `docker load` reads.
pub(super) const DOCKER_NAME: &str = "manifest.json";

/// Images by the digest of their manifest.
pub(super) type Images = BTreeMap<Digest, Image>;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The documents of one bundle, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Documents {
    pub(super) bundle: Vec<u8>,
    pub(super) artifact: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) docker: Vec<u8>,
}

impl Documents {
    /// Everything that follows from the bytes of a bundle manifest.
    pub(super) fn new(
        bundle: Vec<u8>,
        manifest: &BundleManifest,
        stack_size: u64,
        images: &Images,
    ) -> Self {
        let artifact = artifact(&bundle, manifest, stack_size);
        let index = index(manifest, images, &artifact);
        let docker = docker(manifest);
        Self {
            bundle,
            artifact,
            index,
            docker,
        }
    }
}

/// The bundle manifest as JSON with sorted keys.
pub(super) fn canonical(manifest: &impl serde::Serialize) -> Result<Vec<u8>, serde_json::Error> {
    // A `Value` keeps its keys sorted.
    Ok(serde_json::to_value(manifest)?.to_string().into_bytes())
}

/// The trusted comment of the signature.
pub(super) fn trusted_comment(manifest: &BundleManifest) -> String {
    format!(
        "name={} version={} counter={} created={}",
        manifest.release.name, manifest.release.version, manifest.release.counter, manifest.created
    )
}

/// Images of a bundle by reference, each once.
pub(super) fn by_reference(manifest: &BundleManifest) -> BTreeMap<&str, &BundleImage> {
    manifest
        .images
        .values()
        .map(|image| (image.reference.as_str(), image))
        .collect()
}

/// Every blob behind the bundle manifest, in the order of the tar: the stack,
/// configs and image manifests by digest, layers by digest, and at the end
/// the SBOM, whose size nobody knows before the layers were read.
pub(super) fn blob_order(
    stack: &Blob,
    images: &Images,
    layers: impl IntoIterator<Item = Blob>,
    sbom: Option<&Blob>,
) -> Vec<Blob> {
    let mut small = BTreeMap::new();
    for (digest, image) in images {
        small.insert(*digest, image.manifest.len() as u64);
        small.insert(Digest::of(&image.config), image.config.len() as u64);
    }
    let large: BTreeMap<Digest, u64> = layers
        .into_iter()
        .map(|blob| (blob.digest, blob.size))
        .collect();
    let mut seen = BTreeSet::new();
    std::iter::once((stack.digest, stack.size))
        .chain(small)
        .chain(large)
        .chain(sbom.map(|blob| (blob.digest, blob.size)))
        .filter(|(digest, _)| seen.insert(*digest))
        .map(|(digest, size)| Blob { digest, size })
        .collect()
}

/// The layers of all images as blobs, except for those of the base.
pub(super) fn layer_blobs(manifest: &BundleManifest) -> impl Iterator<Item = Blob> + '_ {
    let absent: BTreeSet<Digest> = manifest.absent().iter().map(|blob| blob.digest).collect();
    layers(manifest)
        .map(|layer| Blob {
            digest: layer.digest,
            size: layer.size,
        })
        .filter(move |blob| !absent.contains(&blob.digest))
}

/// The SBOM as the list of blobs has it.
pub(super) fn sbom_blob(manifest: &BundleManifest) -> Option<&Blob> {
    let digest = manifest.sbom?;
    manifest.blobs.last().filter(|blob| blob.digest == digest)
}

pub(super) fn layers(manifest: &BundleManifest) -> impl Iterator<Item = &Layer> {
    manifest.images.values().flat_map(|image| &image.layers)
}

/// The OCI artifact. With an SBOM it is filled up with blanks to the length
/// it has for the largest size, so that its own size is known beforehand.
fn artifact(bundle: &[u8], manifest: &BundleManifest, stack_size: u64) -> Vec<u8> {
    let text = |sbom_size: Option<u64>| {
        let mut layers = vec![json!({
            "mediaType": STACK_TYPE,
            "digest": manifest.stack,
            "size": stack_size,
        })];
        if let (Some(digest), Some(size)) = (manifest.sbom, sbom_size) {
            layers.push(json!({"mediaType": SBOM_TYPE, "digest": digest, "size": size}));
        }
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": {
                "mediaType": MANIFEST_TYPE,
                "digest": Digest::of(bundle),
                "size": bundle.len(),
            },
            "layers": layers,
        })
        .to_string()
        .into_bytes()
    };
    let Some(sbom) = sbom_blob(manifest) else {
        return text(None);
    };
    let mut bytes = text(Some(sbom.size));
    bytes.resize(text(Some(u64::MAX)).len(), b' ');
    bytes
}

fn index(manifest: &BundleManifest, images: &Images, artifact: &[u8]) -> Vec<u8> {
    let mut descriptors = vec![json!({
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "digest": Digest::of(artifact),
        "size": artifact.len(),
    })];
    for (reference, bundled) in by_reference(manifest) {
        let Some(image) = images.get(&bundled.manifest) else {
            continue;
        };
        descriptors.push(json!({
            "mediaType": image.media_type,
            "digest": bundled.manifest,
            "size": image.manifest.len(),
            "platform": {
                "os": manifest.platform.os,
                "architecture": manifest.platform.architecture,
            },
            "annotations": {
                "org.opencontainers.image.ref.name": reference,
                "io.containerd.image.name": reference,
            },
        }));
    }
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": descriptors,
    })
    .to_string()
    .into_bytes()
}

fn docker(manifest: &BundleManifest) -> Vec<u8> {
    let path = crate::oci::archive::blob_name;
    let images: Vec<_> = by_reference(manifest)
        .into_iter()
        .map(|(reference, image)| {
            let layers: Vec<_> = image
                .layers
                .iter()
                .map(|layer| path(&layer.digest))
                .collect();
            json!({
                "Config": path(&image.config),
                "RepoTags": [reference],
                "Layers": layers,
            })
        })
        .collect();
    serde_json::Value::from(images).to_string().into_bytes()
}
