//! Laying out a bundle: what goes where, before any layer is there.
//!
//! A chain of states, each consuming the former: [`Planned`] knows the final
//! offset of every byte, so layers can be written in any order and in
//! parallel; [`Unsigned`] knows every byte but the signature; [`Signed`] can
//! be written. An unsigned bundle cannot.
//!
//! Sizes are known before digests are: the bundle manifest names the
//! inflated size of each layer, which only reading it tells. Its room is
//! reserved for the largest number and the rest filled with blanks. What
//! only reading the layers yields as a whole, the SBOM, comes last.

mod draft;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::Timestamp;
use semver::Version;

use self::draft::{draft, layer_slots};
use super::documents::{
    DOCKER_NAME, Documents, Images, SIGNATURE_NAME, blob_order, canonical, layer_blobs,
    trusted_comment,
};
use super::manifest::{Blob, BundleManifest, Platform, Release, UpgradeRules};
use crate::oci::archive::{
    ArchiveError, END, Entry, INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name,
};
use crate::oci::digest::Digest;
use crate::oci::image::{Compression, Image};
use crate::sign::{SecretKey, SignError, TrustStatement, signature_len};
use crate::stack::Stack;
use crate::sys::partial_set::PartialSet;

/// What a bundle is made of, without its layers.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What it is.
    pub release: Release,
    /// When it was made; the newest of its images unless given.
    pub created: Option<Timestamp>,
    /// The platform of every image.
    pub platform: Platform,
    /// The oldest lfctl that can install it.
    pub lfctl: Version,
    /// What may be upgraded to it.
    pub upgrade: UpgradeRules,
    /// The stack definition.
    pub stack: Stack,
    /// Reference with tag and image, by the key that services use.
    pub images: BTreeMap<String, (String, Image)>,
    /// What the signer says of other keys.
    pub trust: TrustStatement,
    /// What is left out because a base has it.
    pub delta: Option<Delta>,
    /// Whether a software bill of materials will be there when it is sealed.
    pub sbom: bool,
}

/// Layers that a bundle leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// What holds them, in words.
    pub name: String,
    /// Digest of what holds them.
    pub digest: Digest,
    /// The layers.
    pub absent: BTreeSet<Digest>,
}

/// Why contents cannot be laid out or sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// An image is for another platform than the bundle.
    #[error("image `{reference}` is for {found}, the bundle for {wanted}")]
    Platform {
        /// The image.
        reference: String,
        /// Its platform.
        found: Platform,
        /// The bundle's platform.
        wanted: Platform,
    },
    /// One reference stands for two images.
    #[error("reference `{0}` stands for two different images")]
    Reference(String),
    /// Two images disagree about a layer they share.
    #[error("images disagree about the size or content of layer {0}")]
    Layer(Digest),
    /// Nobody said how large a layer is once inflated.
    #[error("layer {0} was not written")]
    Missing(Digest),
    /// A layer is to be left out that no image has.
    #[error("no image has layer {0}, which is to be left out")]
    NotALayer(Digest),
    /// An SBOM was promised and not given, or given and not promised.
    #[error("software bill of materials is missing, or was not planned")]
    Sbom,
    /// A document cannot be written as JSON.
    #[error("cannot write the bundle manifest")]
    Json(#[from] serde_json::Error),
    /// The tar cannot hold it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Where a layer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSlot {
    /// The layer.
    pub digest: Digest,
    /// Bytes as stored.
    pub size: u64,
    /// Digest once inflated.
    pub diff_id: Digest,
    /// How it is stored.
    pub compression: Compression,
    /// Offset of its first byte in the bundle.
    pub offset: u64,
}

/// A bundle whose offsets are known.
#[derive(Debug)]
pub struct Planned {
    manifest: BundleManifest,
    images: Images,
    stack: Vec<u8>,
    /// Bytes reserved for the bundle manifest.
    room: usize,
    entries: Vec<Entry>,
    slots: Vec<LayerSlot>,
    absent: Vec<LayerSlot>,
}

impl Planned {
    /// Lays out contents.
    pub fn new(contents: Contents) -> Result<Self, LayoutError> {
        let mut slots = layer_slots(&contents)?;
        let mut absent_slots = Vec::new();
        if let Some(delta) = &contents.delta {
            for digest in &delta.absent {
                let slot = slots
                    .remove(digest)
                    .ok_or(LayoutError::NotALayer(*digest))?;
                absent_slots.push(slot);
            }
        }
        // Stands for the SBOM until it is sealed: no content has this digest.
        let sbom = contents.sbom.then_some(Blob {
            digest: Digest::from_bytes([0; 32]),
            size: u64::MAX,
        });
        let stack = canonical(&contents.stack)?;
        let (mut manifest, images) = draft(contents, Digest::of(&stack))?;
        manifest.blobs = blob_order(
            &Blob {
                digest: manifest.stack,
                size: stack.len() as u64,
            },
            &images,
            layer_blobs(&manifest),
            sbom.as_ref(),
        );
        manifest.sbom = sbom.map(|blob| blob.digest);
        let largest = canonical(&manifest)?;
        let mut planned = Self {
            room: largest.len(),
            entries: Vec::new(),
            slots: slots.into_values().collect(),
            absent: absent_slots,
            manifest,
            images,
            stack,
        };
        let documents = planned.documents(largest);
        planned.place(&documents)?;
        Ok(planned)
    }

    /// Bytes of the finished file, without its SBOM until that is sealed.
    pub fn size(&self) -> u64 {
        self.entries.last().map_or(0, Entry::end) + END
    }

    /// The layers, in the order of the tar.
    pub fn slots(&self) -> &[LayerSlot] {
        &self.slots
    }

    /// The layers that are left out. Their offsets mean nothing.
    pub fn absent(&self) -> &[LayerSlot] {
        &self.absent
    }

    /// The bundle manifest as far as it is known: unpacked sizes are not.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Completes the documents with the inflated size of each layer and the
    /// SBOM, if one was planned.
    pub fn seal(
        mut self,
        unpacked: &BTreeMap<Digest, u64>,
        sbom: Option<Vec<u8>>,
    ) -> Result<Unsigned, LayoutError> {
        match (
            self.manifest.blobs.last_mut(),
            &mut self.manifest.sbom,
            &sbom,
        ) {
            (Some(last), Some(digest), Some(bytes)) => {
                *digest = Digest::of(bytes);
                *last = Blob {
                    digest: *digest,
                    size: bytes.len() as u64,
                };
            }
            (_, None, None) => {}
            _ => return Err(LayoutError::Sbom),
        }
        for image in self.manifest.images.values_mut() {
            for layer in &mut image.layers {
                layer.unpacked = *unpacked
                    .get(&layer.digest)
                    .ok_or(LayoutError::Missing(layer.digest))?;
            }
        }
        let mut bundle = canonical(&self.manifest)?;
        bundle.resize(self.room, b' ');
        let documents = self.documents(bundle);
        self.place(&documents)?;
        Ok(Unsigned {
            planned: self,
            documents,
            sbom,
        })
    }

    fn documents(&self, bundle: Vec<u8>) -> Documents {
        Documents::new(
            bundle,
            &self.manifest,
            self.stack.len() as u64,
            &self.images,
        )
    }

    /// Computes every entry. Doing it again for the final documents gives
    /// the same, since no size changed.
    fn place(&mut self, documents: &Documents) -> Result<(), LayoutError> {
        let comment = trusted_comment(&self.manifest);
        let head = [
            (LAYOUT_NAME.to_owned(), LAYOUT_CONTENT.len()),
            (INDEX_NAME.to_owned(), documents.index.len()),
            (SIGNATURE_NAME.to_owned(), signature_len(&comment)),
            (DOCKER_NAME.to_owned(), documents.docker.len()),
            (
                blob_name(&Digest::of(&documents.artifact)),
                documents.artifact.len(),
            ),
            (
                blob_name(&Digest::of(&documents.bundle)),
                documents.bundle.len(),
            ),
        ];
        // The SBOM has no place yet while nobody knows its size.
        let blobs = self
            .manifest
            .blobs
            .iter()
            .filter(|blob| blob.size != u64::MAX)
            .map(|blob| (blob_name(&blob.digest), blob.size));
        let mut entries = Vec::new();
        let mut offset = 0;
        for (name, size) in head
            .into_iter()
            .map(|(name, size)| (name, size as u64))
            .chain(blobs)
        {
            let entry = Entry::new(name, size, offset)?;
            offset = entry.end();
            entries.push(entry);
        }
        let data: BTreeMap<&str, u64> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.data()))
            .collect();
        for slot in &mut self.slots {
            slot.offset = *data
                .get(blob_name(&slot.digest).as_str())
                .ok_or(LayoutError::Missing(slot.digest))?;
        }
        self.entries = entries;
        Ok(())
    }
}

/// A bundle that lacks nothing but a signature.
#[derive(Debug)]
pub struct Unsigned {
    planned: Planned,
    documents: Documents,
    sbom: Option<Vec<u8>>,
}

impl Unsigned {
    /// Bytes of the finished file.
    pub fn size(&self) -> u64 {
        self.planned.size()
    }

    /// The bytes to be signed.
    pub fn index(&self) -> &[u8] {
        &self.documents.index
    }

    /// The trusted comment to be signed with them.
    pub fn trusted_comment(&self) -> String {
        trusted_comment(&self.planned.manifest)
    }

    /// Signs the index.
    pub fn sign(self, key: &SecretKey) -> Result<Signed, LayoutError> {
        let signature = key.sign(self.index(), &self.trusted_comment())?;
        let Planned {
            entries,
            images,
            stack,
            manifest,
            ..
        } = self.planned;
        let mut contents = vec![
            Some(LAYOUT_CONTENT.to_vec()),
            Some(self.documents.index),
            Some(signature.into_bytes()),
            Some(self.documents.docker),
            Some(self.documents.artifact),
            Some(self.documents.bundle),
        ];
        let mut small: BTreeMap<Digest, Vec<u8>> = BTreeMap::from([(manifest.stack, stack)]);
        for (digest, image) in images {
            small.insert(digest, image.manifest);
            small.insert(Digest::of(&image.config), image.config);
        }
        small.extend(manifest.sbom.zip(self.sbom));
        for blob in &manifest.blobs {
            contents.push(small.remove(&blob.digest));
        }
        Ok(Signed {
            entries,
            contents,
            manifest,
        })
    }
}

/// A signed bundle, except for the content of its layers.
#[derive(Debug)]
pub struct Signed {
    entries: Vec<Entry>,
    /// Content of each entry that is no layer.
    contents: Vec<Option<Vec<u8>>>,
    manifest: BundleManifest,
}

impl Signed {
    /// The bundle manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Writes everything but the content of the layers into `file`.
    pub fn write(&self, file: &PartialSet) -> io::Result<()> {
        for (at, entry) in self.entries.iter().enumerate() {
            file.write_all_at(&entry.header()?, entry.offset)?;
            if let Some(Some(content)) = self.contents.get(at) {
                file.write_all_at(content, entry.data())?;
            }
            let padding = vec![0; usize::try_from(entry.padding()).unwrap_or_default()];
            file.write_all_at(&padding, entry.data() + entry.size)?;
        }
        let end = self.entries.last().map_or(0, Entry::end);
        let zeros = vec![0; usize::try_from(END).unwrap_or_default()];
        file.write_all_at(&zeros, end)
    }
}
