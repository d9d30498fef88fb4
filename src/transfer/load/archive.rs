//! One image as an archive that an engine reads, made while it is sent.
//!
//! Layers as they are stored: `manifest.json` (docker-archive index),
//! `oci-layout` and `index.json` (for Podman and containerd stores), config,
//! manifest, layers. Layers inflated: `manifest.json`, config, layers, which
//! is all that Docker's classic store looks at. Nothing is written to disk
//! and memory does not grow with the image.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde_json::json;

use super::ImageSource;
use super::inflate::inflated;
use crate::bundle::manifest::Layer;
use crate::oci::archive::{INDEX_NAME, LAYOUT_CONTENT, LAYOUT_NAME, blob_name};
use crate::oci::digest::Digest;

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
    image: &'a ImageSource,
    form: Form,
    /// The layers that are sent, from the base up.
    layers: Vec<&'a Layer>,
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
    /// An archive of `image` under the name `tag`, without the first `skip`
    /// layers.
    pub(super) fn new(image: &'a ImageSource, tag: &str, form: Form, skip: usize) -> Self {
        // An image may hold the same layer twice; the archive never does.
        let mut seen = BTreeSet::new();
        let layers = image
            .layers
            .iter()
            .skip(skip)
            .filter(|layer| seen.insert(form.of(layer).0))
            .collect();
        Self {
            image,
            form,
            layers,
            docker_index: docker_index(image, tag, form),
            oci_index: oci_index(image, tag),
        }
    }

    /// Bytes of the whole archive.
    pub(super) fn size(&self) -> u64 {
        let entry = |size: u64| 512 + size.next_multiple_of(512);
        let small: u64 = self.head().iter().map(|(_, data)| entry(len(data))).sum();
        let layers = self.layers.iter().map(|layer| entry(self.form.of(layer).1));
        small + layers.sum::<u64>() + 1024
    }

    /// Blobs of the layers that are sent, as the bundle names them.
    pub(super) fn layers(&self) -> impl Iterator<Item = Digest> + '_ {
        self.layers.iter().map(|layer| layer.digest)
    }

    fn head(&self) -> Vec<(String, &[u8])> {
        let image = self.image;
        let docker = ("manifest.json".to_owned(), self.docker_index.as_slice());
        let config = (blob_name(&image.config_digest), image.config.as_ref());
        match self.form {
            Form::Inflated => vec![docker, config],
            Form::Stored => vec![
                docker,
                (LAYOUT_NAME.to_owned(), LAYOUT_CONTENT),
                (INDEX_NAME.to_owned(), &self.oci_index),
                config,
                (blob_name(&image.manifest_digest), &image.manifest),
            ],
        }
    }

    /// Writes the archive, reading each layer through the source's verifying
    /// reader. Its end is written only when `end` says so.
    pub(super) fn write<S: Sink>(
        &self,
        out: S,
        end: impl FnOnce(&mut S) -> io::Result<bool>,
    ) -> Result<(), ArchiveError> {
        let mut tar = tar::Builder::new(out);
        for (path, data) in self.head() {
            tar.append_data(&mut header(len(data)), path, data)
                .map_err(ArchiveError::Out)?;
        }
        for layer in &self.layers {
            let (name, size) = self.form.of(layer);
            let of_layer = |error| ArchiveError::Layer(layer.digest, error);
            let mut reader = Exact {
                inner: self.open(layer).map_err(of_layer)?,
                left: size,
            };
            let out = tar.get_mut();
            let mut header = header(size);
            let named = header.set_path(blob_name(&name));
            header.set_cksum();
            named
                .and_then(|()| out.write_all(header.as_bytes()))
                .map_err(ArchiveError::Out)?;
            loop {
                match reader.read(out.unfilled()) {
                    Ok(0) => break,
                    Ok(count) => out.add(count).map_err(ArchiveError::Out)?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(of_layer(error)),
                }
            }
            let padding = usize::try_from(size.wrapping_neg() % 512).unwrap_or_default();
            out.write_all(&[0; 512][..padding])
                .map_err(ArchiveError::Out)?;
        }
        if !end(tar.get_mut()).map_err(ArchiveError::Out)? {
            return Err(ArchiveError::GivenUp);
        }
        let mut out = tar.into_inner().map_err(ArchiveError::Out)?;
        out.flush().map_err(ArchiveError::Out)
    }

    fn open(&self, layer: &Layer) -> io::Result<Box<dyn Read + Send>> {
        let stored = (self.image.open)(&layer.digest)?;
        match self.form {
            Form::Stored => Ok(stored),
            Form::Inflated => inflated(stored, &layer.media_type),
        }
    }
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

/// The classic store's index. All layers are named, sent or not: the engine
/// takes what it has by its chain of diff ids and looks for a file only then.
fn docker_index(image: &ImageSource, tag: &str, form: Form) -> Vec<u8> {
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| blob_name(&form.of(layer).0))
        .collect();
    json!([{ "Config": blob_name(&image.config_digest), "RepoTags": [tag], "Layers": layers }])
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

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{gzip_image, image};
    use super::*;

    /// An archive in memory.
    #[derive(Default)]
    pub(in crate::transfer::load) struct Memory {
        pub(in crate::transfer::load) bytes: Vec<u8>,
        room: [u8; 7],
    }

    impl Sink for &mut Memory {
        fn unfilled(&mut self) -> &mut [u8] {
            &mut self.room
        }

        fn add(&mut self, count: usize) -> io::Result<()> {
            self.bytes.extend(&self.room[..count]);
            Ok(())
        }
    }

    impl Write for &mut Memory {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.bytes.write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(archive: &Archive<'_>) -> BTreeMap<String, Vec<u8>> {
        let mut memory = Memory::default();
        archive.write(&mut memory, |_| Ok(true)).unwrap();
        let bytes = memory.bytes;
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
        let files = written(&Archive::new(&image, "lfctl.local/a:b", Form::Stored, 0));
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
        let all = written(&Archive::new(&image, "a:b", Form::Stored, 1));
        assert_eq!(all.len(), 5 + 2);
        let none = written(&Archive::new(&image, "a:b", Form::Stored, 3));
        assert_eq!(none.len(), 5);
    }

    #[test]
    fn a_layer_of_the_wrong_size_is_an_error_of_the_layer() {
        for delta in [-1_i64, 1] {
            let mut image = image(&[b"one", b"two"]);
            image.layers[1].size = image.layers[1].size.checked_add_signed(delta).unwrap();
            let error = Archive::new(&image, "a:b", Form::Stored, 0)
                .write(&mut Memory::default(), |_| Ok(true))
                .unwrap_err();
            assert!(
                matches!(error, ArchiveError::Layer(digest, _) if digest == image.layers[1].digest)
            );
        }
    }

    #[test]
    fn inflated_layers_are_named_by_their_content() {
        let image = gzip_image(&[b"one", b"two"]);
        let files = written(&Archive::new(&image, "a:b", Form::Inflated, 0));
        assert_eq!(files.len(), 2 + 2);
        assert_eq!(files[&blob_name(&Digest::of(b"two"))], b"two");
        let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(
            index[0]["Layers"],
            json!([
                blob_name(&Digest::of(b"one")),
                blob_name(&Digest::of(b"two"))
            ])
        );
    }

    #[test]
    fn a_layer_that_inflates_to_more_or_less_is_an_error_of_the_layer() {
        for delta in [-1_i64, 1] {
            let mut image = gzip_image(&[b"one", b"two"]);
            let layer = &mut image.layers[1];
            layer.unpacked = layer.unpacked.checked_add_signed(delta).unwrap();
            let error = Archive::new(&image, "a:b", Form::Inflated, 0)
                .write(&mut Memory::default(), |_| Ok(true))
                .unwrap_err();
            let bad = image.layers[1].digest;
            assert!(matches!(error, ArchiveError::Layer(digest, _) if digest == bad));
        }
    }
}
