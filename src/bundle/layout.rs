//! Laying out a bundle: what goes where, before any layer is there.
//!
//! A chain of states, each consuming the former: [`Planned`] knows the final
//! offset of every byte, so layers can be written in any order and in
//! parallel; [`Unsigned`] knows every byte but the signature; [`Signed`] can
//! be written. An unsigned bundle cannot.
//!
//! Sizes are known before digests are: the bundle manifest names the
//! inflated size of each layer, which only reading it tells. Its room is
//! reserved for the largest number and the rest filled with blanks.

use std::collections::BTreeMap;
use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use jiff::Timestamp;
use semver::Version;

use super::documents::{
    DOCKER_NAME, Documents, Images, SIGNATURE_NAME, blob_order, canonical, layer_blobs,
    trusted_comment,
};
use super::manifest::{
    Blob, BundleImage, BundleManifest, FORMAT, Layer, Platform, Release, UpgradeRules,
};
use crate::oci::archive::{
    ArchiveError, END, Entry, INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name,
};
use crate::oci::digest::Digest;
use crate::oci::image::{Compression, Image};
use crate::sign::{SecretKey, SignError, signature_len};
use crate::stack::Stack;

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
}

impl Planned {
    /// Lays out contents.
    pub fn new(contents: Contents) -> Result<Self, LayoutError> {
        let slots = layer_slots(&contents)?;
        let stack = canonical(&contents.stack)?;
        let (mut manifest, images) = draft(contents, Digest::of(&stack))?;
        manifest.blobs = blob_order(
            &Blob {
                digest: manifest.stack,
                size: stack.len() as u64,
            },
            &images,
            layer_blobs(&manifest),
        );
        let largest = canonical(&manifest)?;
        let mut planned = Self {
            room: largest.len(),
            entries: Vec::new(),
            slots: slots.into_values().collect(),
            manifest,
            images,
            stack,
        };
        let documents = planned.documents(largest);
        planned.place(&documents)?;
        Ok(planned)
    }

    /// Bytes of the finished file.
    pub fn size(&self) -> u64 {
        self.entries.last().map_or(0, Entry::end) + END
    }

    /// The layers, in the order of the tar.
    pub fn slots(&self) -> &[LayerSlot] {
        &self.slots
    }

    /// The bundle manifest as far as it is known: unpacked sizes are not.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Completes the documents with the inflated size of each layer.
    pub fn seal(mut self, unpacked: &BTreeMap<Digest, u64>) -> Result<Unsigned, LayoutError> {
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
        let blobs = self
            .manifest
            .blobs
            .iter()
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
}

impl Unsigned {
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
            LAYOUT_CONTENT.to_vec(),
            self.documents.index,
            signature.into_bytes(),
            self.documents.docker,
            self.documents.artifact,
            self.documents.bundle,
        ];
        let mut small: BTreeMap<Digest, Vec<u8>> = BTreeMap::from([(manifest.stack, stack)]);
        for (digest, image) in images {
            small.insert(digest, image.manifest);
            small.insert(Digest::of(&image.config), image.config);
        }
        for blob in &manifest.blobs {
            match small.remove(&blob.digest) {
                Some(bytes) => contents.push(bytes),
                None => break,
            }
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
    /// Content of the first entries; those behind are layers.
    contents: Vec<Vec<u8>>,
    manifest: BundleManifest,
}

impl Signed {
    /// The bundle manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Writes everything but the content of the layers into `file`.
    pub fn write(&self, file: &File) -> io::Result<()> {
        for (at, entry) in self.entries.iter().enumerate() {
            file.write_all_at(&entry.header()?, entry.offset)?;
            if let Some(content) = self.contents.get(at) {
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

fn layer_slots(contents: &Contents) -> Result<BTreeMap<Digest, LayerSlot>, LayoutError> {
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

fn draft(contents: Contents, stack: Digest) -> Result<(BundleManifest, Images), LayoutError> {
    let mut images = Images::new();
    let mut bundled: BTreeMap<String, BundleImage> = BTreeMap::new();
    let mut created = None;
    for (key, (reference, image)) in contents.images {
        let found = Platform {
            os: image.os.clone(),
            architecture: image.architecture.clone(),
        };
        if found != contents.platform {
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
    let manifest = BundleManifest {
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
        blobs: Vec::new(),
    };
    Ok((manifest, images))
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
