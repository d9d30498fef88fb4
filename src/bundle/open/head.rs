//! The head of a bundle: everything before the layers, and every tar header.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use semver::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{DOCUMENT_LIMIT, OpenError, Role};
use crate::bundle::documents::{
    DOCKER_NAME, Documents, Images, SIGNATURE_NAME, blob_order, layer_blobs, layers, sbom_blob,
    trusted_comment,
};
use crate::bundle::manifest::{
    ARTIFACT_TYPE, Blob, BundleImage, BundleManifest, FORMAT, MANIFEST_TYPE,
};
use crate::host::trust::{Countersignature, TrustStore};
use crate::oci::archive::{
    Archive, ArchiveError, Entry, INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name,
};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::sign::{KeyId, SignError, Signature};
use crate::stack::Stack;
use crate::stack::validate::validate;

/// Bytes of the largest index and of the largest `manifest.json`.
const INDEX_LIMIT: u64 = 4 << 20;
/// Bytes of the largest signature file.
const SIGNATURE_LIMIT: u64 = 4 << 10;

/// Whose signature counts.
pub(super) enum Trust<'a> {
    Store(&'a TrustStore, &'a [Countersignature]),
    Blind,
}

pub(super) struct Head {
    pub(super) manifest: BundleManifest,
    pub(super) stack: Stack,
    pub(super) digest: Digest,
    pub(super) index: Vec<u8>,
    pub(super) signers: Vec<KeyId>,
    pub(super) blobs: BTreeMap<Digest, (Role, Entry)>,
}

/// The documents before the first blob.
struct Front {
    index: Vec<u8>,
    /// Keys, that of the maker first, and the maker's comment.
    signed: Option<(Vec<KeyId>, String)>,
    docker: Vec<u8>,
    end: u64,
}

fn layout_entry() -> Result<Entry, ArchiveError> {
    Entry::new(LAYOUT_NAME, LAYOUT_CONTENT.len() as u64, 0)
}

/// Refuses a file that does not begin as a bundle does.
pub(super) fn check_layout(archive: &Archive) -> Result<(), OpenError> {
    let entry = layout_entry()?;
    // A file that is no bundle at all is told apart from a damaged one by
    // the name in its first block.
    let shown = match archive.has_header(&entry) {
        Ok(same) => same,
        Err(ArchiveError::Truncated { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if !shown {
        return Err(OpenError::NotABundle(archive.path().to_owned()));
    }
    if archive.read(&entry, DOCUMENT_LIMIT)? != LAYOUT_CONTENT {
        return Err(OpenError::NotABundle(archive.path().to_owned()));
    }
    Ok(())
}

pub(super) fn read(archive: &Archive, trust: &Trust<'_>) -> Result<Head, OpenError> {
    let front = front(archive, trust)?;
    let digest = Digest::of(&front.index);
    let artifact = artifact_descriptor(&front.index)?;
    let (artifact_bytes, end) = named_blob(archive, &artifact, &Role::Artifact, front.end)?;
    let config = parse::<ImageManifest>(&artifact_bytes, "artifact manifest")?
        .config()
        .clone();
    if *config.media_type() != MediaType::from(MANIFEST_TYPE) {
        return Err(OpenError::Contradiction("artifact manifest".to_owned()));
    }
    let (bundle, end) = named_blob(archive, &config, &Role::BundleManifest, end)?;
    let manifest = bundle_manifest(&bundle)?;
    if let Some((_, found)) = &front.signed {
        let expected = trusted_comment(&manifest);
        if *found != expected {
            return Err(OpenError::Comment {
                found: found.clone(),
                expected,
            });
        }
    }
    check_sizes(&manifest)?;
    let blobs = entries(archive, &manifest, end)?;
    let images = images(archive, &manifest, &blobs)?;
    let stack_bytes = document(archive, &blobs, &manifest.stack)?;
    check_order(&manifest, &images, stack_bytes.len() as u64)?;
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

/// Reads up to the signature and beyond it only when it holds.
fn front(archive: &Archive, trust: &Trust<'_>) -> Result<Front, OpenError> {
    let index = archive.entry_at(layout_entry()?.end(), INDEX_NAME, INDEX_LIMIT)?;
    let index_bytes = archive.read(&index, INDEX_LIMIT)?;
    let signature = signature(archive, index.end())?;
    let (signed, end) = match (trust, signature) {
        (Trust::Store(..), None) => return Err(OpenError::Unsigned),
        (Trust::Store(store, beside), Some((entry, bytes))) => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| SignError::MalformedSignature("it is not text".to_owned()))?;
            let signature = Signature::parse(text)?;
            let signers = store.verify_all(&index_bytes, &signature, beside)?;
            let comment = signature.trusted_comment().to_owned();
            (Some((signers, comment)), entry.end())
        }
        (Trust::Blind, Some((entry, _))) => (None, entry.end()),
        (Trust::Blind, None) => (None, index.end()),
    };
    let docker = archive.entry_at(end, DOCKER_NAME, INDEX_LIMIT)?;
    Ok(Front {
        index: index_bytes,
        signed,
        docker: archive.read(&docker, INDEX_LIMIT)?,
        end: docker.end(),
    })
}

/// The signature, or `None` when the next entry or nothing is in its place.
fn signature(archive: &Archive, offset: u64) -> Result<Option<(Entry, Vec<u8>)>, OpenError> {
    match archive.entry_at(offset, SIGNATURE_NAME, SIGNATURE_LIMIT) {
        Ok(entry) if entry.size == 0 => Ok(None),
        Ok(entry) => {
            let bytes = archive.read(&entry, SIGNATURE_LIMIT)?;
            Ok(Some((entry, bytes)))
        }
        Err(error @ ArchiveError::Header(_)) => {
            match archive.entry_at(offset, DOCKER_NAME, INDEX_LIMIT) {
                Ok(_) => Ok(None),
                Err(_) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn artifact_descriptor(index: &[u8]) -> Result<Descriptor, OpenError> {
    let index: ImageIndex = parse(index, INDEX_NAME)?;
    index
        .manifests()
        .first()
        .filter(|first| first.artifact_type().as_ref() == Some(&MediaType::from(ARTIFACT_TYPE)))
        .cloned()
        .ok_or_else(|| OpenError::Contradiction(INDEX_NAME.to_owned()))
}

/// Reads the blob of a signed descriptor, which must be at `offset`.
fn named_blob(
    archive: &Archive,
    descriptor: &Descriptor,
    role: &Role,
    offset: u64,
) -> Result<(Vec<u8>, u64), OpenError> {
    let digest: Digest = descriptor
        .digest()
        .to_string()
        .parse()
        .map_err(|_| OpenError::Contradiction(role.to_string()))?;
    let entry = Entry::new(blob_name(&digest), descriptor.size(), offset)?;
    let bytes = archive.read(&entry, DOCUMENT_LIMIT)?;
    if Digest::of(&bytes) != digest {
        return Err(OpenError::Content {
            role: role.clone(),
            digest,
        });
    }
    Ok((bytes, entry.end()))
}

/// Reads the bundle manifest, or says which lfctl can.
fn bundle_manifest(bytes: &[u8]) -> Result<BundleManifest, OpenError> {
    #[derive(Deserialize)]
    struct Probe {
        format: u32,
        lfctl: Option<String>,
    }
    let probe: Probe = parse(bytes, "bundle manifest")?;
    if probe.format > FORMAT {
        return Err(OpenError::NewerFormat {
            found: probe.format,
            needed: probe.lfctl.unwrap_or_else(|| "a newer version".to_owned()),
        });
    }
    let manifest: BundleManifest = parse(bytes, "bundle manifest")?;
    let this = Version::parse(env!("CARGO_PKG_VERSION"));
    if this.is_ok_and(|this| manifest.lfctl > this) {
        return Err(OpenError::NewerLfctl {
            needed: manifest.lfctl,
        });
    }
    Ok(manifest)
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

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, OpenError> {
    serde_json::from_slice(bytes).map_err(|source| OpenError::Document {
        what: what.to_owned(),
        source,
    })
}
