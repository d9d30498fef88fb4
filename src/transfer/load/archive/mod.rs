//! Images as an archive that an engine reads, made while it is sent.
//!
//! Layers as they are stored: of each image config, manifest, layers, then
//! `oci-layout` and `index.json` (for containerd stores) and `manifest.json`
//! (docker-archive index, for Podman). Layers inflated: config, layers,
//! `manifest.json`, which is all that Docker's classic store looks at. Nothing
//! is written to disk and memory does not grow with the images.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde_json::json;

use super::inflate::inflated;
use super::source::{ImageSource, private_tag};
use crate::bundle::manifest::Layer;
use crate::oci::archive::{INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name};
use crate::oci::digest::Digest;
use crate::sys::span::is_from_system;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What an archive holds of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The blob as it is stored.
    Stored,
    /// The tar in it.
    Inflated,
}

impl Form {
    /// Under which digest an archive holds a layer, and its bytes there.
    fn of(self, layer: &Layer) -> (Digest, u64) {
        match self {
            Self::Stored => (layer.digest, layer.size),
            Self::Inflated => (layer.diff_id, layer.unpacked),
        }
    }
}

/// What goes into one archive.
pub(super) struct Archive<'a> {
    form: Form,
    parts: Vec<Part<'a>>,
}

/// What an archive holds of one image, but for what an earlier one brings.
struct Part<'a> {
    image: &'a ImageSource,
    /// Config and, as stored, manifest.
    documents: Vec<(String, &'a [u8])>,
    /// The layers that are sent, from the base up.
    layers: Vec<&'a Layer>,
}

/// A layer that could not be read, or is not what it should be.
#[derive(Debug)]
pub(super) struct Unread {
    /// Place of its image in the archive.
    pub(super) place: usize,
    pub(super) layer: Digest,
    pub(super) error: io::Error,
}

/// Why an archive was not finished.
#[derive(Debug)]
pub(super) enum ArchiveError {
    /// A layer is the cause.
    Layer(Unread),
    /// The receiver of the bytes is gone.
    Out(io::Error),
    /// Its end was not to be written.
    GivenUp,
}

/// Where an archive goes. Layers are read straight into it.
pub(super) trait Sink: Write {
    /// Room for the next bytes; never empty.
    fn unfilled(&mut self) -> &mut [u8];

    /// So many bytes were put there.
    fn add(&mut self, count: usize) -> io::Result<()>;
}

impl<'a> Archive<'a> {
    /// An archive of `images` under lfctl's own tags, without the first
    /// `skip` layers of each. What several of them hold is in it once.
    pub(super) fn new(images: &'a [ImageSource], form: Form, skip: usize) -> Self {
        let mut seen = BTreeSet::new();
        let mut parts = Vec::with_capacity(images.len());
        for image in images {
            let mut documents = vec![(image.config_digest, image.config.as_ref())];
            if form == Form::Stored {
                documents.push((image.manifest_digest, image.manifest.as_ref()));
            }
            documents.retain(|(digest, _)| seen.insert(*digest));
            let layers = image.layers.iter().skip(skip);
            parts.push(Part {
                image,
                documents: documents
                    .into_iter()
                    .map(|(digest, data)| (blob_name(&digest), data))
                    .collect(),
                layers: layers
                    .filter(|layer| seen.insert(form.of(layer).0))
                    .collect(),
            });
        }
        Self { form, parts }
    }

    /// Bytes of the whole archive.
    pub(super) fn size(&self) -> u64 {
        self.sizes().iter().sum()
    }

    /// Bytes of the archive by image, in their order.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let entry = |size: u64| 512 + size.next_multiple_of(512);
        let layer = |layer: &&Layer| entry(self.form.of(layer).1);
        let document = |(_, data): &(String, &[u8])| entry(len(data));
        let part = |part: &Part<'_>| {
            let layers: u64 = part.layers.iter().map(layer).sum();
            layers + part.documents.iter().map(document).sum::<u64>()
        };
        let mut sizes: Vec<u64> = self.parts.iter().map(part).collect();
        let index = self.index(sizes.len());
        if let Some(last) = sizes.last_mut() {
            *last += 1024 + index.iter().map(|(_, data)| entry(len(data))).sum::<u64>();
        }
        sizes
    }

    /// Blobs of the layers that are sent for the image at `place`, as the
    /// bundle names them.
    pub(super) fn layers(&self, place: usize) -> Vec<Digest> {
        let part = self.parts.get(place);
        let layers = part.into_iter().flat_map(|part| &part.layers);
        layers.map(|layer| layer.digest).collect()
    }

    /// What tells an engine of the first `count` images. It comes last, so
    /// that it can leave out those that could not be read.
    fn index(&self, count: usize) -> Vec<(&'static str, Vec<u8>)> {
        let images: Vec<_> = self.parts[..count].iter().map(|part| part.image).collect();
        let docker = ("manifest.json", docker_index(&images, self.form));
        match self.form {
            Form::Inflated => vec![docker],
            Form::Stored => vec![
                (LAYOUT_NAME, LAYOUT_CONTENT.to_vec()),
                (INDEX_NAME, oci_index(&images)),
                docker,
            ],
        }
    }

    /// Writes the archive, reading each layer through the source's verifying
    /// reader. Its end is written only when `end` says so.
    ///
    /// Where the medium fails behind the first image, the archive ends with
    /// those that are whole, and the layer that is not is returned.
    pub(super) fn write<S: Sink>(
        &self,
        out: S,
        end: impl FnOnce(&mut S) -> io::Result<bool>,
    ) -> Result<Option<Unread>, ArchiveError> {
        let mut tar = tar::Builder::new(out);
        let (mut whole, mut unread) = (0, None);
        for (place, part) in self.parts.iter().enumerate() {
            for (path, data) in &part.documents {
                append(&mut tar, path, data)?;
            }
            let mut layers = part.layers.iter();
            unread = match layers.try_for_each(|layer| self.layer(tar.get_mut(), place, layer)) {
                Ok(()) => None,
                Err(ArchiveError::Layer(unread)) if place > 0 && is_from_system(&unread.error) => {
                    Some(unread)
                }
                Err(error) => return Err(error),
            };
            if unread.is_some() {
                break;
            }
            whole += 1;
        }
        for (path, data) in self.index(whole) {
            append(&mut tar, path, &data)?;
        }
        if !end(tar.get_mut()).map_err(ArchiveError::Out)? {
            return Err(ArchiveError::GivenUp);
        }
        let mut out = tar.into_inner().map_err(ArchiveError::Out)?;
        out.flush().map_err(ArchiveError::Out)?;
        Ok(unread)
    }

    /// One layer as an entry of its full size, also when it cannot be read.
    fn layer<S: Sink>(&self, out: &mut S, place: usize, layer: &Layer) -> Result<(), ArchiveError> {
        let (name, size) = self.form.of(layer);
        let mut header = header(size);
        let named = header.set_path(blob_name(&name));
        header.set_cksum();
        named
            .and_then(|()| out.write_all(header.as_bytes()))
            .map_err(ArchiveError::Out)?;
        let (read, left) = match self.open(self.parts[place].image, layer) {
            Ok(inner) => copy(Exact { inner, left: size }, out)?,
            Err(error) => (Err(error), size),
        };
        zeros(out, left + size.wrapping_neg() % 512)?;
        let layer = layer.digest;
        read.map_err(|error| {
            ArchiveError::Layer(Unread {
                place,
                layer,
                error,
            })
        })
    }

    fn open(&self, image: &ImageSource, layer: &Layer) -> io::Result<Box<dyn Read + Send>> {
        let stored = (image.open)(&layer.digest)?;
        match self.form {
            Form::Stored => Ok(stored),
            Form::Inflated => inflated(stored, &layer.media_type),
        }
    }
}

/// Reads to the end or the first error; returns too how much is left.
fn copy(
    mut reader: Exact<impl Read>,
    out: &mut impl Sink,
) -> Result<(io::Result<()>, u64), ArchiveError> {
    loop {
        match reader.read(out.unfilled()) {
            Ok(0) => return Ok((Ok(()), 0)),
            Ok(count) => out.add(count).map_err(ArchiveError::Out)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok((Err(error), reader.left)),
        }
    }
}

fn zeros(out: &mut impl Write, count: u64) -> Result<(), ArchiveError> {
    io::copy(&mut io::repeat(0).take(count), out)
        .map(drop)
        .map_err(ArchiveError::Out)
}

fn append<S: Write>(
    tar: &mut tar::Builder<S>,
    path: &str,
    data: &[u8],
) -> Result<(), ArchiveError> {
    tar.append_data(&mut header(len(data)), path, data)
        .map_err(ArchiveError::Out)
}

/// A layer's reader that takes a wrong length for an error.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "its size is not the signed one");
        let count = self.inner.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(wrong());
        }
        self.left = self
            .left
            .checked_sub(len(&buffer[..count]))
            .ok_or_else(wrong)?;
        Ok(count)
    }
}

fn len(data: &[u8]) -> u64 {
    data.len() as u64
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// The docker-archive index. All layers are named, sent or not: the classic
/// store takes what it has by its chain of diff ids and looks for a file only
/// then.
fn docker_index(images: &[&ImageSource], form: Form) -> Vec<u8> {
    let entry = |image: &&ImageSource| {
        let layers = image.layers.iter();
        json!({
            "Config": blob_name(&image.config_digest),
            "RepoTags": [private_tag(&image.reference, &image.config_digest)],
            "Layers": layers.map(|layer| blob_name(&form.of(layer).0)).collect::<Vec<_>>(),
        })
    };
    let entries: Vec<_> = images.iter().map(entry).collect();
    json!(entries).to_string().into_bytes()
}

fn oci_index(images: &[&ImageSource]) -> Vec<u8> {
    let descriptor = |image: &&ImageSource| {
        let tag = private_tag(&image.reference, &image.config_digest);
        json!({
            "mediaType": manifest_type(&image.manifest),
            "digest": image.manifest_digest,
            "size": image.manifest.len(),
            // Podman reads the first, containerd the second.
            "annotations": {
                "org.opencontainers.image.ref.name": tag,
                "io.containerd.image.name": tag,
            },
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": images.iter().map(descriptor).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes()
}

/// The media type that the manifest gives itself; OCI manifests need not.
fn manifest_type(manifest: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(manifest)
        .ok()
        .and_then(|manifest| Some(manifest.get("mediaType")?.as_str()?.to_owned()))
        .unwrap_or_else(|| OCI_MANIFEST.to_owned())
}

#[cfg(test)]
pub(super) mod tests;
