use std::collections::BTreeMap;
use std::sync::Arc;

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
    assert_eq!(len(&memory.bytes), archive.size());
    files(&memory)
}

fn files(memory: &Memory) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(memory.bytes.as_slice());
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
    let files = written(&Archive::new(std::slice::from_ref(&image), Form::Stored, 0));
    assert_eq!(files.len(), 5 + 2);
    for (path, data) in &files {
        if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(data).hex(), hex);
        }
    }
    let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(
        index[0]["RepoTags"],
        json!([private_tag(&image.reference, &image.config_digest)])
    );
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
    let all = written(&Archive::new(std::slice::from_ref(&image), Form::Stored, 1));
    assert_eq!(all.len(), 5 + 2);
    let none = written(&Archive::new(std::slice::from_ref(&image), Form::Stored, 3));
    assert_eq!(none.len(), 5);
}

#[test]
fn a_layer_of_the_wrong_size_is_an_error_of_the_layer() {
    for delta in [-1_i64, 1] {
        let mut image = image(&[b"one", b"two"]);
        image.layers[1].size = image.layers[1].size.checked_add_signed(delta).unwrap();
        let error = Archive::new(std::slice::from_ref(&image), Form::Stored, 0)
            .write(&mut Memory::default(), |_| Ok(true))
            .unwrap_err();
        assert!(
            matches!(error, ArchiveError::Layer(unread) if unread.layer == image.layers[1].digest)
        );
    }
}

#[test]
fn inflated_layers_are_named_by_their_content() {
    let image = gzip_image(&[b"one", b"two"]);
    let files = written(&Archive::new(
        std::slice::from_ref(&image),
        Form::Inflated,
        0,
    ));
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
        let error = Archive::new(std::slice::from_ref(&image), Form::Inflated, 0)
            .write(&mut Memory::default(), |_| Ok(true))
            .unwrap_err();
        let bad = image.layers[1].digest;
        assert!(matches!(error, ArchiveError::Layer(unread) if unread.layer == bad));
    }
}

/// Three images on one base.
fn family() -> Vec<ImageSource> {
    let tops: [&[&'static [u8]]; 3] = [&[b"base", b"a"], &[b"base", b"b"], &[b"base", b"c"]];
    let own = |(place, layers): (usize, &&[&'static [u8]])| {
        let mut image = image(layers);
        image.config = bytes::Bytes::from(format!("config {place}"));
        image.config_digest = Digest::of(&image.config);
        image.manifest = bytes::Bytes::from(format!("manifest {place}"));
        image.manifest_digest = Digest::of(&image.manifest);
        image
    };
    tops.iter().enumerate().map(own).collect()
}

fn named(files: &BTreeMap<String, Vec<u8>>, images: &[ImageSource]) {
    let index: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let layout: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index.as_array().unwrap().len(), images.len());
    assert_eq!(layout["manifests"].as_array().unwrap().len(), images.len());
    for (place, image) in images.iter().enumerate() {
        let manifest = &layout["manifests"][place]["digest"];
        assert_eq!(*manifest, json!(image.manifest_digest));
        for file in index[place]["Layers"].as_array().unwrap() {
            assert!(files.contains_key(file.as_str().unwrap()));
        }
        for document in [image.config_digest, image.manifest_digest] {
            assert_eq!(Digest::of(&files[&blob_name(&document)]), document);
        }
    }
}

#[test]
fn what_several_images_share_is_there_once() {
    let images = family();
    let archive = Archive::new(&images, Form::Stored, 0);
    let files = written(&archive);
    assert_eq!(files.len(), 3 + 3 * 2 + 1 + 3);
    named(&files, &images);
    let own: Vec<_> = (0..3).map(|place| archive.layers(place).len()).collect();
    assert_eq!(own, [2, 1, 1]);
    assert_eq!(archive.sizes().iter().sum::<u64>(), archive.size());
}

#[test]
fn images_ahead_of_a_layer_that_cannot_be_read_are_sent() {
    let mut images = family();
    let bad = images[1].layers[1].digest;
    images[1].open = Arc::new(move |digest| {
        assert_eq!(*digest, bad);
        Err(io::Error::from_raw_os_error(5))
    });
    let mut memory = Memory::default();
    let unread = Archive::new(&images, Form::Stored, 0)
        .write(&mut memory, |_| Ok(true))
        .unwrap()
        .unwrap();
    assert_eq!((unread.place, unread.layer), (1, bad));
    named(&files(&memory), &images[..1]);
    // Nothing is when a layer is wrong.
    images[1].open = Arc::new(|_| Err(io::ErrorKind::InvalidData.into()));
    let error = Archive::new(&images, Form::Stored, 0)
        .write(&mut Memory::default(), |_| Ok(true))
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Layer(unread) if unread.place == 1));
}
