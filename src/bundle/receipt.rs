//! Verifying a whole bundle, and the receipt for it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::manifest::{Platform, Release};
use super::open::{Bundle, OpenError, blob_error};
use super::workers::{self, CHUNK, Watch};
use crate::oci::digest::Digest;
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sign::KeyId;

/// What was verified, for whoever has to show it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Receipt {
    /// The file.
    pub file: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Digest of `index.json`, which commits to every other byte.
    pub index: Digest,
    /// The key that signed it; none when it was trusted blindly.
    pub key_id: Option<KeyId>,
    /// Other trusted keys that signed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countersigned_by: Vec<KeyId>,
    /// The release.
    pub release: Release,
    /// The platform of its images.
    pub platform: Platform,
    /// When it was made.
    pub created: Timestamp,
    /// Number of images.
    pub images: usize,
    /// Number of distinct layers.
    pub layers: usize,
    /// Number of blobs, with all documents.
    pub blobs: usize,
    /// Bytes of the distinct layers.
    pub layer_bytes: u64,
    /// Bytes of all images once unpacked.
    pub unpacked_bytes: u64,
    /// Each image by its reference, with the digest of its manifest.
    pub image_digests: BTreeMap<String, Digest>,
    /// What a delta builds on; none for a bundle that is complete by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Builds>,
    /// When it was verified.
    pub verified_at: Timestamp,
    /// Version of the lfctl that verified it.
    pub lfctl: String,
}

/// What a delta leaves out, which nobody has verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Builds {
    /// What holds the layers, in words.
    pub name: String,
    /// Digest of its `index.json`, or of that inventory.
    pub digest: Digest,
    /// Number of layers that are left out.
    pub absent_layers: usize,
    /// Their bytes.
    pub absent_bytes: u64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bundle      {}", self.file.display())?;
        writeln!(
            f,
            "release     {} (counter {})",
            self.release, self.release.counter
        )?;
        writeln!(f, "platform    {}", self.platform)?;
        writeln!(f, "created     {}", self.created)?;
        match self.key_id {
            Some(key) => writeln!(f, "signed by   key {key}")?,
            None => writeln!(f, "signed by   NOT CHECKED")?,
        }
        for key in &self.countersigned_by {
            writeln!(f, "also by     key {key}")?;
        }
        writeln!(f, "index       {}", self.index)?;
        writeln!(
            f,
            "content     {} images, {} layers, {} blobs; every digest is right",
            self.images, self.layers, self.blobs
        )?;
        writeln!(
            f,
            "size        {} bytes; layers {} bytes, {} unpacked",
            self.size, self.layer_bytes, self.unpacked_bytes
        )?;
        if let Some(base) = &self.base {
            writeln!(
                f,
                "left out    {} layers of {} bytes, not verified: {} holds them ({})",
                base.absent_layers, base.absent_bytes, base.name, base.digest
            )?;
        }
        writeln!(
            f,
            "verified    {} by lfctl {}",
            self.verified_at, self.lfctl
        )?;
        write!(f, "images")?;
        for (reference, digest) in &self.image_digests {
            write!(f, "\n  {reference}\n    {digest}")?;
        }
        Ok(())
    }
}

impl Bundle {
    /// Hashes every layer and the SBOM, on all cores, in constant memory. The documents
    /// were hashed when the bundle was opened.
    pub fn verify_blobs(&self, reporter: &dyn Reporter) -> Result<Receipt, OpenError> {
        let layer_bytes = self.layers().map(|(_, size)| size).sum();
        let count = self.layers().count();
        let mut unread: Vec<_> = self.unread().collect();
        let progress = Step::sized(
            reporter,
            "verify-blobs",
            "Verifying every byte",
            Some(unread.iter().map(|(_, size)| size).sum()),
            Unit::Bytes,
        );
        // The largest last, since threads take from the end.
        unread.sort_by_key(|(_, size)| *size);
        workers::run(unread, &progress, |(digest, _), watch| {
            self.hash(&digest, watch)
        })?;
        progress.finish(Outcome::Done, Some(format!("{count} layers are right")));
        let manifest = self.manifest();
        Ok(Receipt {
            file: self.path().to_owned(),
            size: self.size(),
            index: self.digest(),
            key_id: self.key_id(),
            countersigned_by: self.signers().iter().skip(1).copied().collect(),
            release: manifest.release.clone(),
            platform: manifest.platform.clone(),
            created: manifest.created,
            images: super::documents::by_reference(manifest).len(),
            layers: count,
            blobs: self.blob_count(),
            layer_bytes,
            unpacked_bytes: manifest.unpacked_bytes(),
            image_digests: manifest
                .images
                .values()
                .map(|image| (image.reference.clone(), image.manifest))
                .collect(),
            base: manifest.base.as_ref().map(|base| Builds {
                name: base.name.clone(),
                digest: base.digest,
                absent_layers: base.absent.len(),
                absent_bytes: base.absent.iter().map(|blob| blob.size).sum(),
            }),
            verified_at: Timestamp::now(),
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    fn hash(&self, digest: &Digest, watch: &Watch) -> Result<(), OpenError> {
        use std::io::Read;
        let mut reader = self.reader(digest)?;
        let mut buffer = vec![0; CHUNK];
        while !watch.is_over() {
            let read = reader
                .read(&mut buffer)
                .map_err(|error| blob_error(error, self.role(digest), digest))?;
            if read == 0 {
                break;
            }
            watch.count(read);
        }
        Ok(())
    }
}
