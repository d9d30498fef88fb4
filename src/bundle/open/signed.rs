//! What is signed of a bundle: the index, and the manifest that it names.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use semver::Version;
use serde::Deserialize;

use super::document::{DOCUMENT_LIMIT, check_layout, layout_entry, parse};
use super::{OpenError, Role};
use crate::bundle::documents::{DOCKER_NAME, SIGNATURE_NAME, trusted_comment};
use crate::bundle::manifest::{ARTIFACT_TYPE, BundleManifest, FORMAT, MANIFEST_TYPE};
use crate::host::trust::{Countersignature, TrustStore};
use crate::oci::archive::{Archive, ArchiveError, Entry, INDEX_NAME, blob_name};
use crate::oci::digest::Digest;
use crate::sign::{KeyId, SignError, Signature};
use crate::stack::Stack;

/// Bytes of the largest index and of the largest `manifest.json`.
const INDEX_LIMIT: u64 = 4 << 20;
/// Bytes of the largest signature file.
const SIGNATURE_LIMIT: u64 = 4 << 10;

/// Whose signature counts.
pub(super) enum Trust<'a> {
    Store(&'a TrustStore, &'a [Countersignature]),
    Blind,
}

/// The documents before the first blob.
pub(super) struct Front {
    pub(super) index: Vec<u8>,
    /// Keys, that of the maker first, and the maker's comment.
    pub(super) signed: Option<(Vec<KeyId>, String)>,
    pub(super) docker: Vec<u8>,
    end: u64,
}

/// The index, and the bundle manifest that it commits to.
pub(super) struct Signed {
    pub(super) front: Front,
    pub(super) artifact: Vec<u8>,
    /// Bytes of the bundle manifest.
    pub(super) bundle: Vec<u8>,
    pub(super) manifest: BundleManifest,
    /// Digest of the index.
    pub(super) digest: Digest,
    /// Where the other blobs begin.
    pub(super) end: u64,
}

impl Signed {
    pub(super) fn read(archive: &Archive, trust: &Trust<'_>) -> Result<Self, OpenError> {
        let front = front(archive, trust)?;
        let digest = Digest::of(&front.index);
        let descriptor = artifact_descriptor(&front.index)?;
        let (artifact, end) = named_blob(archive, &descriptor, &Role::Artifact, front.end)?;
        let config = parse::<ImageManifest>(&artifact, "artifact manifest")?
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
        Ok(Self {
            front,
            artifact,
            bundle,
            manifest,
            digest,
            end,
        })
    }
}

/// The head of a bundle, as a host keeps it of each generation: what is signed
/// and the stack, without the layers.
#[derive(Debug)]
pub struct KeptHead {
    /// What the bundle said of itself.
    pub manifest: BundleManifest,
    /// The stack definition.
    pub stack: Stack,
    /// Digest of the bundle's index.
    pub digest: Digest,
    /// The key that signed it; `None` when that was not asked for.
    pub key_id: Option<KeyId>,
}

impl KeptHead {
    /// Reads a head that was cut off a bundle; with a store, only if a key in
    /// it signed the bundle.
    ///
    /// # Errors
    ///
    /// As for a bundle.
    pub fn open(archive: &Archive, trusted: Option<&TrustStore>) -> Result<Self, OpenError> {
        check_layout(archive)?;
        let trust = match trusted {
            Some(store) => Trust::Store(store, &[]),
            None => Trust::Blind,
        };
        let signed = Signed::read(archive, &trust)?;
        let wanted = signed.manifest.stack;
        let mut offset = signed.end;
        for blob in &signed.manifest.blobs {
            let entry = Entry::new(blob_name(&blob.digest), blob.size, offset)?;
            offset = entry.end();
            if blob.digest != wanted {
                continue;
            }
            let bytes = archive.read(&entry, DOCUMENT_LIMIT)?;
            if Digest::of(&bytes) != wanted {
                break;
            }
            let signers = signed.front.signed.map(|(keys, _)| keys);
            return Ok(Self {
                stack: parse(&bytes, "stack definition")?,
                manifest: signed.manifest,
                digest: signed.digest,
                key_id: signers.and_then(|keys| keys.first().copied()),
            });
        }
        Err(OpenError::Content {
            role: Role::Stack,
            digest: wanted,
        })
    }
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
