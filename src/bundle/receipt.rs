//! Verifying a whole bundle, and the receipt for it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use flate2::Crc;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::{Platform, Release};
use super::open::{Bundle, OpenError, blob_error};
use super::workers::{self, CHUNK, Watch};
use crate::oci::digest::Digest;
use crate::report::event::{Reporter, Step, StepStatus, Unit};
use crate::sign::KeyId;
use crate::sys::versioned::{Format, Malformed, Text, VERSION, Versioned};

/// Version of the receipt that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

fn first() -> u32 {
    1
}

/// What was verified, to be shown later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Receipt {
    /// See [`SCHEMA`].
    #[serde(default = "first")]
    pub schema: u32,
    pub file: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Digest of `index.json`, which commits to every other byte.
    pub index: Digest,
    /// The key that signed it; none when it was trusted blindly.
    pub key_id: Option<KeyId>,
    /// Other trusted keys that signed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countersigned_by: Vec<KeyId>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl Versioned for Receipt {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = SCHEMA;
    // lfctl 0.1.0 wrote none.
    const UNNUMBERED: Option<u32> = Some(1);

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        text.parse()
    }
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
        self.examine(reporter, |digest, watch| self.hash(digest, watch))
    }

    /// The same for a bundle that was just written: blobs that were hashed
    /// on their way into the file are only compared with the CRC-32 that was
    /// taken then. That shows a fault of ours or of the machine; who would
    /// change bytes on purpose can do so later as well, and is found out by
    /// the host.
    pub fn verify_written(
        &self,
        sums: &BTreeMap<Digest, u32>,
        reporter: &dyn Reporter,
    ) -> Result<Receipt, OpenError> {
        self.examine(reporter, |digest, watch| match sums.get(digest) {
            Some(sum) => self.compare(digest, *sum, watch),
            None => self.hash(digest, watch),
        })
    }

    fn examine(
        &self,
        reporter: &dyn Reporter,
        one: impl Fn(&Digest, &Watch) -> Result<(), OpenError> + Sync,
    ) -> Result<Receipt, OpenError> {
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
        workers::run(unread, &progress, |(digest, _), watch| one(&digest, watch))?;
        progress.finish(StepStatus::Done, Some(format!("{count} layers are right")));
        let manifest = self.manifest();
        Ok(Receipt {
            schema: SCHEMA,
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
            lfctl: VERSION.to_owned(),
        })
    }

    fn compare(&self, digest: &Digest, sum: u32, watch: &Watch) -> Result<(), OpenError> {
        let (mut at, mut left) = self.place(digest)?;
        let mut buffer = vec![0; CHUNK];
        let mut found = Crc::new();
        while left > 0 && !watch.is_over() {
            let now = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            self.read_raw(&mut buffer[..now], at)
                .map_err(OpenError::Io)?;
            found.update(&buffer[..now]);
            watch.count(now);
            at += now as u64;
            left -= now as u64;
        }
        if left == 0 && found.sum() != sum {
            return Err(OpenError::Content {
                role: self.role(digest).clone(),
                digest: *digest,
            });
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::UntrustedBundle;
    use crate::fake::bundle::Fake;
    use crate::host::trust::TrustStore;
    use crate::report::event::Silent;
    use crate::sign::{SecretKey, generate};
    use fs_err::os::unix::fs::FileExt;
    use secrecy::ExposeSecret;

    #[test]
    fn a_layer_that_is_not_what_was_hashed_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let new = generate(None).unwrap();
        let key = SecretKey::parse(new.secret.expose_secret(), None).unwrap();
        let fake = Fake::small().unwrap();
        let layers: Vec<_> = fake.images["app"].1.layers.clone();
        fake.write(&path, &key).unwrap();
        let open = || {
            let store = TrustStore::of([key.public().clone()]);
            UntrustedBundle::open(&path)
                .unwrap()
                .verify(&store)
                .unwrap()
        };
        let sums = layers.iter().map(|layer| {
            let mut sum = Crc::new();
            sum.update(&layer.bytes);
            (layer.digest(), sum.sum())
        });
        let sums: BTreeMap<_, _> = sums.collect();
        let bundle = open();
        let receipt = bundle.verify_written(&sums, &Silent).unwrap();
        assert_eq!(receipt.layers, bundle.verify_blobs(&Silent).unwrap().layers);

        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        // Those that have a sum, and the one that has none.
        for (digest, _) in bundle.layers() {
            let (at, size) = bundle.place(&digest).unwrap();
            let mut right = vec![0; 1];
            bundle.read_raw(&mut right, at + size - 1).unwrap();
            file.write_all_at(&[right[0] ^ 1], at + size - 1).unwrap();
            let error = open().verify_written(&sums, &Silent).unwrap_err();
            assert!(error.to_string().contains(&digest.to_string()), "{error}");
            file.write_all_at(&right, at + size - 1).unwrap();
        }
        open().verify_written(&sums, &Silent).unwrap();
    }
}
