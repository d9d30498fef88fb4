//! The head of a bundle: everything before the layers, and every tar header.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::document::{DOCUMENT_LIMIT, parse};
use super::signed::{Signed, Trust};
use super::{OpenError, Role};
use crate::bundle::documents::{
    DOCKER_NAME, Documents, Images, blob_order, layer_blobs, layers, sbom_blob,
};
use crate::bundle::manifest::{Blob, BundleImage, BundleManifest};
use crate::bundle::vocabulary;
use crate::oci::archive::{Archive, ArchiveError, Entry, INDEX_NAME, blob_name};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::sign::KeyId;
use crate::stack::Stack;
use crate::stack::validate::validate;

pub(super) struct Head {
    pub(super) manifest: BundleManifest,
    pub(super) stack: Stack,
    pub(super) digest: Digest,
    pub(super) index: Vec<u8>,
    pub(super) signers: Vec<KeyId>,
    pub(super) blobs: BTreeMap<Digest, (Role, Entry)>,
}

pub(super) fn read(archive: &Archive, trust: &Trust<'_>) -> Result<Head, OpenError> {
    let Signed {
        front,
        artifact: artifact_bytes,
        bundle,
        manifest,
        digest,
        end,
    } = Signed::read(archive, trust)?;
    check_sizes(&manifest)?;
    let blobs = entries(archive, &manifest, end)?;
    let images = images(archive, &manifest, &blobs)?;
    let stack_bytes = document(archive, &blobs, &manifest.stack)?;
    check_order(&manifest, &images, stack_bytes.len() as u64)?;
    let wrong = vocabulary::check(&manifest);
    if !wrong.is_empty() {
        return Err(OpenError::Vocabulary(wrong));
    }
    let stack: Stack = parse(&stack_bytes, "stack definition")?;
    // Code behind this relies on every name in it.
    validate(&stack, &manifest.images.keys().cloned().collect())
        .map_err(|errors| OpenError::Stack(errors.iter().map(ToString::to_string).collect()))?;
    let documents = Documents::new(bundle, &manifest, stack_bytes.len() as u64, &images);
    for (what, found, expected) in [
        ("artifact manifest", &artifact_bytes, &documents.artifact),
        (INDEX_NAME, &front.index, &documents.index),
        (DOCKER_NAME, &front.docker, &documents.docker),
    ] {
        if found != expected {
            return Err(OpenError::Contradiction(what.to_owned()));
        }
    }
    Ok(Head {
        manifest,
        stack,
        digest,
        index: front.index,
        signers: front.signed.map(|(keys, _)| keys).unwrap_or_default(),
        blobs,
    })
}

/// Refuses sizes that nobody could add up: code behind this does, with room
/// for the headers and padding of a tar.
fn check_sizes(manifest: &BundleManifest) -> Result<(), OpenError> {
    let sum = layers(manifest).try_fold(0_u64, |sum, layer| {
        sum.checked_add(layer.size)?.checked_add(layer.unpacked)
    });
    match sum {
        Some(sum) if sum < u64::MAX >> 1 => Ok(()),
        _ => Err(ArchiveError::Overflow.into()),
    }
}

/// Checks the length of the file and the header and padding of every blob.
fn entries(
    archive: &Archive,
    manifest: &BundleManifest,
    start: u64,
) -> Result<BTreeMap<Digest, (Role, Entry)>, OpenError> {
    let mut roles = BTreeMap::from([(manifest.stack, Role::Stack)]);
    for image in manifest.images.values() {
        roles.insert(image.manifest, Role::ImageManifest(image.reference.clone()));
        roles.insert(image.config, Role::ImageConfig(image.reference.clone()));
    }
    if let Some(sbom) = manifest.sbom {
        roles.insert(sbom, Role::Sbom);
    }
    let mut placed = Vec::with_capacity(manifest.blobs.len());
    let mut offset = start;
    for blob in &manifest.blobs {
        let entry = Entry::new(blob_name(&blob.digest), blob.size, offset)?;
        offset = entry.end();
        placed.push((blob.digest, entry));
    }
    let Some((_, last)) = placed.last() else {
        return Err(OpenError::Contradiction("list of blobs".to_owned()));
    };
    archive.check_size(last)?;
    for (_, entry) in &placed {
        archive.check(entry)?;
    }
    archive.check_end(offset)?;
    Ok(placed
        .into_iter()
        .map(|(digest, entry)| {
            let role = roles.remove(&digest).unwrap_or(Role::Layer);
            (digest, (role, entry))
        })
        .collect())
}

fn document(
    archive: &Archive,
    blobs: &BTreeMap<Digest, (Role, Entry)>,
    digest: &Digest,
) -> Result<Vec<u8>, OpenError> {
    let (role, entry) = blobs.get(digest).ok_or(OpenError::NoSuchBlob(*digest))?;
    let bytes = archive.read(entry, DOCUMENT_LIMIT)?;
    if Digest::of(&bytes) != *digest {
        return Err(OpenError::Content {
            role: role.clone(),
            digest: *digest,
        });
    }
    Ok(bytes)
}

/// Reads each image once and compares it with what the bundle manifest says.
fn images(
    archive: &Archive,
    manifest: &BundleManifest,
    blobs: &BTreeMap<Digest, (Role, Entry)>,
) -> Result<Images, OpenError> {
    let mut images = Images::new();
    for bundled in manifest.images.values() {
        let image = match images.entry(bundled.manifest) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(slot) => slot.insert(image(archive, bundled, blobs)?),
        };
        if !is_same(bundled, image, manifest) {
            return Err(OpenError::Contradiction(format!(
                "image `{}`",
                bundled.reference
            )));
        }
    }
    Ok(images)
}

fn image(
    archive: &Archive,
    bundled: &BundleImage,
    blobs: &BTreeMap<Digest, (Role, Entry)>,
) -> Result<Image, OpenError> {
    let manifest = document(archive, blobs, &bundled.manifest)?;
    let config = document(archive, blobs, &bundled.config)?;
    Image::parse(manifest, config).map_err(|source| OpenError::Image {
        reference: bundled.reference.clone(),
        source,
    })
}

fn is_same(bundled: &BundleImage, image: &Image, manifest: &BundleManifest) -> bool {
    bundled.config == Digest::of(&image.config)
        && image.is_for(&manifest.platform.os, &manifest.platform.architecture)
        && bundled.layers.len() == image.layers.len()
        && bundled.layers.iter().zip(&image.layers).all(|(said, is)| {
            said.digest == is.digest
                && said.size == is.size
                && said.diff_id == is.diff_id
                && said.media_type == is.media_type
        })
}

/// The list of blobs holds what is referenced, in order, and nothing else.
fn check_order(
    manifest: &BundleManifest,
    images: &Images,
    stack_size: u64,
) -> Result<(), OpenError> {
    let stack = Blob {
        digest: manifest.stack,
        size: stack_size,
    };
    let sbom = sbom_blob(manifest);
    let complete = sbom.map(|blob| blob.digest) == manifest.sbom;
    if complete && blob_order(&stack, images, layer_blobs(manifest), sbom) == manifest.blobs {
        check_absent(manifest)
    } else {
        Err(OpenError::Contradiction("list of blobs".to_owned()))
    }
}

/// What a delta leaves out are layers of its images, each named once.
fn check_absent(manifest: &BundleManifest) -> Result<(), OpenError> {
    let known: BTreeMap<Digest, u64> = layers(manifest)
        .map(|layer| (layer.digest, layer.size))
        .collect();
    let absent = manifest.absent();
    let honest = absent.is_sorted_by(|one, next| one.digest < next.digest)
        && absent
            .iter()
            .all(|blob| known.get(&blob.digest) == Some(&blob.size));
    if honest {
        Ok(())
    } else {
        Err(OpenError::Contradiction("list of absent layers".to_owned()))
    }
}
