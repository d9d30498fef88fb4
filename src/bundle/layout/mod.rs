//! Laying out a bundle: what goes where, before any layer is there.
//!
//! A chain of states, each consuming the former: [`Planned`] knows the final
//! offset of every byte, so layers can be written in any order and in
//! parallel; [`Unsigned`] knows every byte but the signature; [`Signed`] can
//! be written. An unsigned bundle cannot.
//!
//! Sizes are known before digests are: the bundle manifest names the
//! inflated size of each layer, which only reading it tells. Its room is
//! reserved for the largest number and the rest filled with blanks, and so is
//! that of a stack definition that leaves its migrations to the image. What
//! only reading the layers yields as a whole, the SBOM, comes last.

mod contents;
mod draft;
mod error;

use std::collections::BTreeMap;
use std::io;

pub use self::contents::{Contents, Delta, LayerSlot};
use self::draft::{draft, layer_slots};
pub use self::error::LayoutError;
use super::documents::{
    DOCKER_NAME, Documents, Images, SIGNATURE_NAME, blob_order, canonical, layer_blobs,
    trusted_comment,
};
use super::manifest::{Blob, BundleManifest};
use super::migrations::largest;
use crate::oci::archive::{END, Entry, INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name};
use crate::oci::digest::Digest;
use crate::sign::{SecretKey, signature_len};
use crate::stack::Stack;
use crate::sys::partial_set::PartialSet;

/// A bundle whose offsets are known.
#[derive(Debug)]
pub struct Planned {
    manifest: BundleManifest,
    images: Images,
    stack: Stack,
    /// The same as it is stored.
    stack_bytes: Vec<u8>,
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
        let stack = contents.stack.clone();
        let stack_bytes = canonical(&largest(&stack))?;
        let (mut manifest, images) = draft(contents, Digest::of(&stack_bytes))?;
        manifest.blobs = blob_order(
            &Blob {
                digest: manifest.stack,
                size: stack_bytes.len() as u64,
            },
            &images,
            layer_blobs(&manifest),
            sbom.as_ref(),
        );
        manifest.sbom = sbom.map(|blob| blob.digest);
        let longest = canonical(&manifest)?;
        let mut planned = Self {
            room: longest.len(),
            entries: Vec::new(),
            slots: slots.into_values().collect(),
            absent: absent_slots,
            manifest,
            images,
            stack,
            stack_bytes,
        };
        let documents = planned.documents(longest);
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

    /// The stack definition as it was given.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Puts the definition that is known by now in the place of the one that
    /// was planned. Its room was reserved for the longest there can be.
    pub fn complete(&mut self, stack: Stack) -> Result<(), LayoutError> {
        let mut bytes = canonical(&stack)?;
        if bytes.len() > self.stack_bytes.len() {
            return Err(LayoutError::Stack);
        }
        bytes.resize(self.stack_bytes.len(), b' ');
        let digest = Digest::of(&bytes);
        let planned = std::mem::replace(&mut self.manifest.stack, digest);
        let blobs = self.manifest.blobs.iter_mut();
        for blob in blobs.filter(|blob| blob.digest == planned) {
            blob.digest = digest;
        }
        (self.stack, self.stack_bytes) = (stack, bytes);
        Ok(())
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
            self.stack_bytes.len() as u64,
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
            stack_bytes,
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
        let mut small: BTreeMap<Digest, Vec<u8>> = BTreeMap::from([(manifest.stack, stack_bytes)]);
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
