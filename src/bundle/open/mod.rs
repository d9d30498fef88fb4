//! Opening a bundle.
//!
//! Before the signature over `index.json` holds, nothing is parsed but two
//! size fields. Afterwards every offset follows from signed data: headers are
//! compared, never read, and what is said twice must agree. So each byte of
//! the file is committed to: the head when [`UntrustedBundle::verify`]
//! returns, a layer when its reader hands out its last byte or when
//! [`Bundle::verify_blobs`] returns.

mod document;
mod error;
mod head;
mod signed;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use document::DOCUMENT_LIMIT;
pub use error::{OpenError, Role};
use head::Head;
use signed::Trust;

pub use signed::KeptHead;

use super::manifest::BundleManifest;
use crate::host::trust::{Countersignature, TrustStore};
use crate::oci::archive::{Archive, BLOCK, END, Entry};
use crate::oci::blob::{BlobReader, DigestMismatch};
use crate::oci::digest::Digest;
use crate::sign::KeyId;
use crate::stack::Stack;

/// An opened file that may be anything.
#[derive(Debug)]
pub struct UntrustedBundle {
    archive: Archive,
    beside: Vec<Countersignature>,
}

impl UntrustedBundle {
    /// Opens a file and looks at nothing but its first blocks.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::over(Archive::open(path)?)
    }

    /// The same for files that are open already.
    pub fn over(archive: Archive) -> Result<Self, OpenError> {
        document::check_layout(&archive)?;
        let beside = Vec::new();
        Ok(Self { archive, beside })
    }

    /// With signatures that others made of it.
    #[must_use]
    pub fn countersigned(self, beside: Vec<Countersignature>) -> Self {
        Self { beside, ..self }
    }

    /// The bundle, if a trusted key signed it, and as many others as the
    /// host asks for, and its head is intact.
    pub fn verify(self, trusted: &TrustStore) -> Result<Bundle, OpenError> {
        head::read(&self.archive, &Trust::Store(trusted, &self.beside))
            .map(|head| Bundle::new(self.archive, head))
    }

    /// The bundle, signed by anybody or not at all. Digests are checked as
    /// ever. Callers must have been told to do this, and say that they did.
    pub fn trust_blindly(self) -> Result<Bundle, OpenError> {
        head::read(&self.archive, &Trust::Blind).map(|head| Bundle::new(self.archive, head))
    }
}

/// A bundle whose signature holds and whose documents agree. There is no
/// other way to get one than through [`UntrustedBundle`]. The file stays open
/// and is not opened by name again.
#[derive(Debug, Clone)]
pub struct Bundle {
    archive: Archive,
    manifest: BundleManifest,
    stack: Stack,
    digest: Digest,
    index: Vec<u8>,
    signers: Vec<KeyId>,
    blobs: BTreeMap<Digest, (Role, Entry)>,
}

impl Bundle {
    fn new(archive: Archive, head: Head) -> Self {
        Self {
            archive,
            manifest: head.manifest,
            stack: head.stack,
            digest: head.digest,
            index: head.index,
            signers: head.signers,
            blobs: head.blobs,
        }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The stack definition.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Digest of `index.json`, which commits to everything else.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that signed it, or `None` when it was trusted blindly.
    pub fn key_id(&self) -> Option<KeyId> {
        self.signers.first().copied()
    }

    /// Every trusted key that signed it, that of its maker first; none when
    /// it was trusted blindly.
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// Bytes of `index.json`.
    pub fn index(&self) -> &[u8] {
        &self.index
    }

    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        self.archive.path()
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.archive.size()
    }

    /// Bytes of a blob, if the bundle holds it.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).map(|(_, entry)| entry.size)
    }

    /// All before the layers, as a tar of its own: what is signed, the
    /// signature, the manifest, the stack and the image configs.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn head(&self) -> Result<Vec<u8>, OpenError> {
        let layers = self
            .unread()
            .filter_map(|(digest, _)| self.place(&digest).ok());
        let first = layers.map(|(offset, _)| offset - BLOCK).min();
        let size = first.unwrap_or(self.size() - END);
        let too_large = |_| OpenError::Io(std::io::ErrorKind::FileTooLarge.into());
        let end = usize::try_from(size).map_err(too_large)?;
        let mut head = vec![0; usize::try_from(size + END).map_err(too_large)?];
        self.read_raw(&mut head[..end], 0).map_err(OpenError::Io)?;
        Ok(head)
    }

    /// A small blob, such as an image config, whole and verified.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, OpenError> {
        let (role, entry) = self.entry(digest)?;
        if entry.size > DOCUMENT_LIMIT {
            return Err(OpenError::LargeBlob {
                digest: *digest,
                size: entry.size,
            });
        }
        let mut bytes = Vec::new();
        self.archive
            .reader(entry, *digest)
            .read_to_end(&mut bytes)
            .map_err(|error| blob_error(error, role, digest))?;
        Ok(bytes)
    }

    /// A reader over a blob that fails instead of ending when the content is
    /// not the signed one. It owns its descriptor and may move to a thread.
    pub fn reader(&self, digest: &Digest) -> Result<BlobReader, OpenError> {
        let (_, entry) = self.entry(digest)?;
        Ok(self.archive.reader(entry, *digest))
    }

    /// Where a blob is: the offset of its first byte, and its bytes.
    pub(super) fn place(&self, digest: &Digest) -> Result<(u64, u64), OpenError> {
        let (_, entry) = self.entry(digest)?;
        Ok((entry.data(), entry.size))
    }

    /// Bytes of the file as they are, which nothing vouches for.
    pub(super) fn read_raw(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.archive.file().read_exact_at(buffer, offset)
    }

    /// The blobs that were not hashed when the bundle was opened: layers and
    /// SBOM.
    pub(super) fn unread(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        self.blobs
            .iter()
            .filter(|(_, (role, _))| matches!(role, Role::Layer | Role::Sbom))
            .map(|(digest, (_, entry))| (*digest, entry.size))
    }

    /// The layers that the bundle carries, with their bytes.
    pub(super) fn layers(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        let sbom = self.manifest.sbom;
        self.unread()
            .filter(move |(digest, _)| Some(*digest) != sbom)
    }

    /// What a blob is for.
    pub(super) fn role(&self, digest: &Digest) -> &Role {
        self.blobs
            .get(digest)
            .map_or(&Role::Layer, |(role, _)| role)
    }

    pub(super) fn blob_count(&self) -> usize {
        self.blobs.len()
    }

    fn entry(&self, digest: &Digest) -> Result<&(Role, Entry), OpenError> {
        self.blobs.get(digest).ok_or(OpenError::NoSuchBlob(*digest))
    }
}

/// Tells a wrong hash from a failed read.
pub(super) fn blob_error(error: std::io::Error, role: &Role, digest: &Digest) -> OpenError {
    let wrong = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<DigestMismatch>);
    if wrong {
        OpenError::Content {
            role: role.clone(),
            digest: *digest,
        }
    } else {
        OpenError::Io(error)
    }
}
