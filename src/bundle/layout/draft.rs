//! What follows from the contents of a bundle before it has any offset.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Contents, Delta, LayerSlot, LayoutError};
use crate::bundle::documents::{Images, layers};
use crate::bundle::manifest::{Base, Blob, BundleImage, BundleManifest, FORMAT, Layer, Platform};
use crate::oci::digest::Digest;

/// Every layer once, without a place.
pub(super) fn layer_slots(contents: &Contents) -> Result<BTreeMap<Digest, LayerSlot>, LayoutError> {
    let mut slots: BTreeMap<Digest, LayerSlot> = BTreeMap::new();
    for layer in contents
        .images
        .values()
        .flat_map(|(_, image)| &image.layers)
    {
        let slot = LayerSlot {
            digest: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
            compression: layer.compression,
            offset: 0,
        };
        if *slots.entry(layer.digest).or_insert_with(|| slot.clone()) != slot {
            return Err(LayoutError::Layer(layer.digest));
        }
    }
    Ok(slots)
}

/// The bundle manifest as far as it is known, and the images it names.
pub(super) fn draft(
    contents: Contents,
    stack: Digest,
) -> Result<(BundleManifest, Images), LayoutError> {
    let mut images = Images::new();
    let mut bundled: BTreeMap<String, BundleImage> = BTreeMap::new();
    let mut created = None;
    for (key, (reference, image)) in contents.images {
        let Platform { os, architecture } = &contents.platform;
        if !image.is_for(os, architecture) {
            let found = Platform {
                os: image.os,
                architecture: image.architecture,
            };
            return Err(LayoutError::Platform {
                reference,
                found,
                wanted: contents.platform,
            });
        }
        created = created.max(image.created);
        let manifest = Digest::of(&image.manifest);
        if bundled
            .values()
            .any(|other| other.reference == reference && other.manifest != manifest)
        {
            return Err(LayoutError::Reference(reference));
        }
        bundled.insert(
            key,
            BundleImage {
                reference,
                manifest,
                config: Digest::of(&image.config),
                layers: image.layers.iter().map(unknown_size).collect(),
            },
        );
        images.insert(manifest, image);
    }
    let mut manifest = BundleManifest {
        format: FORMAT,
        release: contents.release,
        created: contents
            .created
            .or(created)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        platform: contents.platform,
        lfctl: contents.lfctl,
        images: bundled,
        stack,
        upgrade: contents.upgrade,
        trust: contents.trust,
        base: None,
        sbom: None,
        blobs: Vec::new(),
    };
    manifest.base = contents.delta.map(|delta| base(delta, &manifest));
    Ok((manifest, images))
}

/// Names the layers that are left out, each once.
fn base(delta: Delta, manifest: &BundleManifest) -> Base {
    let absent: BTreeMap<Digest, u64> = layers(manifest)
        .filter(|layer| delta.absent.contains(&layer.digest))
        .map(|layer| (layer.digest, layer.size))
        .collect();
    Base {
        name: delta.name,
        digest: delta.digest,
        absent: absent
            .into_iter()
            .map(|(digest, size)| Blob { digest, size })
            .collect(),
    }
}

fn unknown_size(layer: &crate::oci::image::ImageLayer) -> Layer {
    Layer {
        digest: layer.digest,
        size: layer.size,
        diff_id: layer.diff_id,
        unpacked: u64::MAX,
        media_type: layer.media_type.clone(),
    }
}
