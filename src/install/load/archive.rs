//! One image as an archive that every engine reads, made while it is sent.
//!
//! Order: `manifest.json` (docker-archive index, for Docker's classic store),
//! `oci-layout` and `index.json` (for Podman and containerd stores), config,
//! manifest, then the layers exactly as they are stored. Nothing is written
//! to disk and memory does not grow with the image.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};

use bytes::{Bytes, BytesMut};
use serde_json::json;
use tokio::sync::mpsc;

use super::ImageSource;
use crate::oci::digest::Digest;

/// Bytes per message to the engine.
const CHUNK: usize = 256 << 10;
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What goes into one archive.
pub(super) struct Archive<'a> {
    image: &'a ImageSource,
    /// Blobs of the layers that are sent, in the order of the layers.
    layers: Vec<(Digest, u64)>,
    docker_index: Vec<u8>,
    oci_index: Vec<u8>,
}

/// Why an archive was not finished.
#[derive(Debug)]
pub(super) enum ArchiveError {
    /// A layer could not be read, or is not what it should be.
    Layer(Digest, io::Error),
    /// Nobody takes the bytes any more.
    Out(io::Error),
}

impl<'a> Archive<'a> {
    /// An archive of `image` under the name `tag`, without the first `skip`
    /// layers.
    pub(super) fn new(image: &'a ImageSource, tag: &str, skip: usize) -> Self {
        // An image may hold the same layer twice; the archive never does.
        let mut seen = BTreeSet::new();
        let layers = image
            .layers
            .iter()
            .skip(skip)
            .filter(|layer| seen.insert(layer.digest))
            .map(|layer| (layer.digest, layer.size))
            .collect();
        Self {
            image,
            layers,
            docker_index: docker_index(image, tag),
            oci_index: oci_index(image, tag),
        }
    }

    /// Bytes of the whole archive.
    pub(super) fn size(&self) -> u64 {
        let entry = |size: u64| 512 + size.next_multiple_of(512);
        let small: u64 = self.head().iter().map(|(_, data)| entry(len(data))).sum();
        let layers: u64 = self.layers.iter().map(|(_, size)| entry(*size)).sum();
        small + layers + 1024
    }

    fn head(&self) -> [(String, &[u8]); 5] {
        [
            ("manifest.json".to_owned(), self.docker_index.as_slice()),
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice(),
            ),
            ("index.json".to_owned(), self.oci_index.as_slice()),
            (blob(&self.image.config_digest), &self.image.config),
            (blob(&self.image.manifest_digest), &self.image.manifest),
        ]
    }

    /// Writes the archive, reading each layer through the source's verifying
    /// reader.
    pub(super) fn write(&self, out: impl Write) -> Result<(), ArchiveError> {
        let mut tar = tar::Builder::new(out);
        for (path, data) in self.head() {
            tar.append_data(&mut header(len(data)), path, data)
                .map_err(ArchiveError::Out)?;
        }
        for (digest, size) in &self.layers {
            let reader =
                (self.image.open)(digest).map_err(|error| ArchiveError::Layer(*digest, error))?;
            let mut layer = Tracked {
                inner: reader,
                left: *size,
                failed: false,
            };
            tar.append_data(
                &mut header(*size),
                blob(digest),
                BufReader::with_capacity(CHUNK, &mut layer),
            )
            .map_err(|error| {
                if layer.failed {
                    ArchiveError::Layer(*digest, error)
                } else {
                    ArchiveError::Out(error)
                }
            })?;
        }
        let mut out = tar.into_inner().map_err(ArchiveError::Out)?;
        out.flush().map_err(ArchiveError::Out)
    }
}

/// A layer's reader that knows whether an error was its own, and that takes a
/// wrong length for an error.
struct Tracked<R> {
    inner: R,
    left: u64,
    failed: bool,
}

impl<R: Read> Read for Tracked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).and_then(|count| {
            let wrong =
                || io::Error::new(io::ErrorKind::InvalidData, "its size is not the signed one");
            if count == 0 && self.left > 0 && !buffer.is_empty() {
                return Err(wrong());
            }
            self.left = self
                .left
                .checked_sub(len(&buffer[..count]))
                .ok_or_else(wrong)?;
            Ok(count)
        });
        // `copy` tries again after an interruption.
        if let Err(error) = &read
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = true;
        }
        read
    }
}

fn len(data: &[u8]) -> u64 {
    data.len() as u64
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
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

/// The classic store's index. All layers are named, sent or not: the engine
/// takes what it has by its chain of diff ids and looks for a file only then.
fn docker_index(image: &ImageSource, tag: &str) -> Vec<u8> {
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| blob(&layer.digest))
        .collect();
    json!([{ "Config": blob(&image.config_digest), "RepoTags": [tag], "Layers": layers }])
        .to_string()
        .into_bytes()
}

fn oci_index(image: &ImageSource, tag: &str) -> Vec<u8> {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": manifest_type(&image.manifest),
            "digest": image.manifest_digest,
            "size": image.manifest.len(),
            // Podman reads the first, containerd the second.
            "annotations": {
                "org.opencontainers.image.ref.name": tag,
                "io.containerd.image.name": tag,
            },
        }],
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

/// Turns written bytes into messages, and waits while too many are under way.
pub(super) struct ChannelWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

impl ChannelWriter {
    pub(super) fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: BytesMut::with_capacity(CHUNK),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(full.freeze()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let count = data.len().min(room);
        self.buffer.extend_from_slice(&data[..count]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::image;
    use super::*;

    fn written(archive: &Archive<'_>) -> BTreeMap<String, Vec<u8>> {
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        assert_eq!(len(&bytes), archive.size());
        let mut tar = tar::Archive::new(bytes.as_slice());
        tar.entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut data = Vec::new();
                entry.read_to_end(&mut data).unwrap();
                (entry.path().unwrap().display().to_string(), data)
            })
            .collect()
    }

    #[test]
    fn holds_each_blob_once_under_its_digest() {
        let image = image(&[b"one", b"two", b"one"]);
        let files = written(&Archive::new(&image, "lfctl.local/a:b", 0));
        assert_eq!(files.len(), 5 + 2);
        for (path, data) in &files {
            if let Some(hex) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(Digest::of(data).hex(), hex);
            }
        }
        let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(index[0]["RepoTags"], json!(["lfctl.local/a:b"]));
        assert_eq!(index[0]["Layers"].as_array().unwrap().len(), 3);
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        assert_eq!(
            index["manifests"][0]["digest"],
            json!(image.manifest_digest)
        );
    }

    #[test]
    fn a_layer_that_also_comes_later_is_not_left_out() {
        let image = image(&[b"one", b"two", b"one"]);
        let all = written(&Archive::new(&image, "a:b", 1));
        assert_eq!(all.len(), 5 + 2);
        let none = written(&Archive::new(&image, "a:b", 3));
        assert_eq!(none.len(), 5);
    }

    #[test]
    fn a_layer_of_the_wrong_size_is_an_error_of_the_layer() {
        for delta in [-1_i64, 1] {
            let mut image = image(&[b"one", b"two"]);
            image.layers[1].size = image.layers[1].size.checked_add_signed(delta).unwrap();
            let error = Archive::new(&image, "a:b", 0)
                .write(io::sink())
                .unwrap_err();
            assert!(
                matches!(error, ArchiveError::Layer(digest, _) if digest == image.layers[1].digest)
            );
        }
    }

    #[test]
    fn a_closed_receiver_is_not_the_layers_fault() {
        let image = image(&[b"one"]);
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let error = Archive::new(&image, "a:b", 0)
            .write(ChannelWriter::new(sender))
            .unwrap_err();
        assert!(matches!(error, ArchiveError::Out(_)));
    }
}
