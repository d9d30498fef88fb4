//! Images as an engine saves them: a tar with a docker-archive, an OCI image
//! layout, or both over the same blobs.
//!
//! The tar is read twice. The first time nothing but documents is kept and
//! everything is hashed, so that sizes and digests are known; the second time
//! the layers are taken. What an entry is called means nothing by itself:
//! layers are found by their digest, whatever the engine calls them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{DOCUMENT_LIMIT, LocalError, Wanted, find};
use crate::oci::archive::INDEX_NAME;
use crate::oci::digest::Digest;
use crate::oci::image::{Details, Image, ImageError};
use crate::oci::index::{self, complete};
use crate::oci::layer::{Kind, walk};

/// The index of a docker-archive.
const DOCKER_NAME: &str = "manifest.json";
/// Bytes of all documents together that are held.
const HELD_LIMIT: u64 = 16 << 20;
/// Entries that a tar may have.
const ENTRY_LIMIT: usize = 100_000;
const CHUNK: usize = 256 << 10;

/// What was seen the first time.
#[derive(Debug, Default)]
pub struct Saved {
    /// Digest and bytes of each file.
    files: BTreeMap<String, (Digest, u64)>,
    /// Content of those that may be documents.
    documents: BTreeMap<Digest, Vec<u8>>,
}

/// An image of a docker-archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
}

impl Saved {
    /// Reads a tar to its end.
    pub fn survey(reader: &mut dyn Read) -> Result<Self, LocalError> {
        let mut saved = Self::default();
        let mut held = 0;
        let surveyed = walk(reader, |entry, body| {
            if entry.kind != Kind::File {
                return Ok(());
            }
            if saved.files.len() == ENTRY_LIMIT {
                return Err(io::Error::other("it has too many entries"));
            }
            let (digest, size, document) = hash_entry(body)?;
            if size != entry.size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(document) = document {
                held += size;
                if held > HELD_LIMIT {
                    return Err(io::Error::other("its documents are too large"));
                }
                saved.documents.insert(digest, document);
            }
            saved.files.insert(entry.path.clone(), (digest, size));
            Ok(())
        });
        surveyed.map_err(unreadable)?;
        Ok(saved)
    }

    /// The image of a name.
    pub fn image(&self, wanted: &Wanted<'_>) -> Result<Image, LocalError> {
        let image = match self.file(INDEX_NAME) {
            Some(bytes) => {
                let parsed = index::parse(bytes).map_err(|source| LocalError::Document {
                    what: format!("the engine's `{INDEX_NAME}`"),
                    source,
                })?;
                let root = parsed.unwrap_or_default();
                find(&root, wanted, &|digest| {
                    Ok(self.documents.get(&digest).cloned())
                })?
            }
            None => self.docker_image(wanted)?,
        };
        let sizes: BTreeMap<Digest, u64> = self.files.values().copied().collect();
        for layer in &image.layers {
            if sizes.get(&layer.digest) != Some(&layer.size) {
                return Err(wanted.no_blob(layer.digest));
            }
        }
        Ok(image)
    }

    /// An image that has no manifest: one is made up, with the layers as the
    /// engine keeps them, which is inflated.
    fn docker_image(&self, wanted: &Wanted<'_>) -> Result<Image, LocalError> {
        let no_document = |what: &str| LocalError::Document {
            what: format!("the engine's `{what}`"),
            source: serde::de::Error::custom("it is not there"),
        };
        let bytes = self
            .file(DOCKER_NAME)
            .ok_or_else(|| no_document(DOCKER_NAME))?;
        let entries: Vec<Entry> =
            serde_json::from_slice(bytes).map_err(|source| LocalError::Document {
                what: format!("the engine's `{DOCKER_NAME}`"),
                source,
            })?;
        let tags = || {
            entries
                .iter()
                .flat_map(|entry| entry.repo_tags.iter().flatten())
        };
        let is_wanted = |tag: &String| complete(tag).as_deref() == Some(wanted.name);
        let named = entries
            .iter()
            .filter(|entry| entry.repo_tags.iter().flatten().any(is_wanted));
        let mut configs = BTreeMap::new();
        for entry in named {
            let config = self
                .file(&entry.config)
                .ok_or_else(|| no_document(&entry.config))?;
            configs.insert(Digest::of(config), config);
        }
        if configs.len() > 1 {
            return Err(LocalError::Ambiguous {
                name: wanted.name.to_owned(),
                found: configs.into_keys().collect(),
            });
        }
        let config = configs
            .into_values()
            .next()
            .ok_or_else(|| LocalError::Absent {
                name: wanted.name.to_owned(),
                there: tags().cloned().collect(),
            })?;
        self.with_manifest(wanted, config)
    }

    /// The image of a config, with a manifest that is made up.
    fn with_manifest(&self, wanted: &Wanted<'_>, config: &[u8]) -> Result<Image, LocalError> {
        let sizes: BTreeMap<Digest, u64> = self.files.values().copied().collect();
        let details = Details::read(config).map_err(|source| wanted.unusable(source))?;
        let mut layers = Vec::new();
        for diff_id in &details.diff_ids {
            let digest: Digest = diff_id
                .parse()
                .map_err(|source| wanted.unusable(ImageError::Digest(source)))?;
            let size = sizes.get(&digest).ok_or_else(|| wanted.no_blob(digest))?;
            layers.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest,
                "size": size,
            }));
        }
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(config),
                "size": config.len(),
            },
            "layers": layers,
        });
        let image = Image::parse(manifest.to_string().into_bytes(), config.to_vec());
        wanted.check(image.map_err(|source| wanted.unusable(source))?, None)
    }

    /// Reads the tar again and hands out each of the blobs once, with its
    /// digest as it was seen the first time.
    ///
    /// # Errors
    ///
    /// Whatever `visit` fails with; the tar cannot be read.
    pub fn replay(
        &self,
        reader: &mut dyn Read,
        mut blobs: BTreeSet<Digest>,
        mut visit: impl FnMut(Digest, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), LocalError> {
        walk(reader, |entry, body| match self.files.get(&entry.path) {
            Some((digest, _)) if entry.kind == Kind::File && blobs.remove(digest) => {
                visit(*digest, body)
            }
            _ => Ok(()),
        })
        .map_err(unreadable)
    }

    fn file(&self, path: &str) -> Option<&[u8]> {
        let (digest, _) = self.files.get(path)?;
        self.documents.get(digest).map(Vec::as_slice)
    }
}

fn unreadable(source: io::Error) -> LocalError {
    LocalError::Io {
        what: "what the engine sends".to_owned(),
        source,
    }
}

/// Digest and bytes of a file, and its content if it may be a document.
fn hash_entry(body: &mut dyn Read) -> io::Result<(Digest, u64, Option<Vec<u8>>)> {
    let mut hasher = Sha256::new();
    let (mut size, mut document) = (0, Some(Vec::new()));
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match body.read(&mut chunk) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let bytes = &chunk[..read];
        hasher.update(bytes);
        // A layer begins with the name of its first file, JSON with a bracket.
        let is_json = size > 0 || matches!(bytes[0], b'{' | b'[');
        size += read as u64;
        match &mut document {
            Some(held) if is_json && size <= DOCUMENT_LIMIT => held.extend_from_slice(bytes),
            _ => document = None,
        }
    }
    let digest = Digest::from_bytes(hasher.finalize().into());
    Ok((
        digest,
        size,
        document.filter(|document| !document.is_empty()),
    ))
}

#[cfg(test)]
mod tests;
