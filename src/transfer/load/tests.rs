use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::bundle::manifest::Layer;
use crate::oci::digest::Digest;

/// An image of the given layers, stored as they are.
pub(super) fn image(layers: &[&'static [u8]]) -> ImageSource {
    let blobs: Vec<_> = layers
        .iter()
        .map(|data| (Digest::of(data), *data))
        .collect();
    let config = Bytes::from_static(b"{\"config\":true}");
    let manifest = Bytes::from_static(b"{\"manifest\":true}");
    ImageSource {
        keys: vec!["web".to_owned()],
        reference: "docker.io/langfuse/langfuse:3.225.4".to_owned(),
        manifest_digest: Digest::of(&manifest),
        config_digest: Digest::of(&config),
        manifest,
        config,
        layers: blobs
            .iter()
            .map(|(digest, data)| Layer {
                digest: *digest,
                size: data.len() as u64,
                diff_id: *digest,
                unpacked: data.len() as u64,
                media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
            })
            .collect(),
        absent: std::collections::BTreeSet::new(),
        open: Arc::new(move |wanted| {
            let found = blobs.iter().find(|(digest, _)| digest == wanted);
            let (_, data) = found.ok_or_else(|| io::Error::other("no such layer"))?;
            Ok(Box::new(*data))
        }),
    }
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The same, with each layer stored as gzip.
pub(super) fn gzip_image(layers: &[&'static [u8]]) -> ImageSource {
    let stored: Vec<&'static [u8]> = layers.iter().map(|data| &*gzip(data).leak()).collect();
    let mut image = image(&stored);
    for (layer, data) in image.layers.iter_mut().zip(layers) {
        layer.diff_id = Digest::of(data);
        layer.unpacked = data.len() as u64;
        layer.media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
    }
    image
}

#[test]
fn own_tags_have_the_name_and_the_identity() {
    let digest = Digest::of(b"x");
    for (reference, name) in [
        (
            "docker.io/langfuse/langfuse-worker:3.225.4",
            "langfuse-worker",
        ),
        ("127.0.0.1:5000/redis", "redis"),
        ("docker.io/library/postgres:15@sha256:00", "postgres"),
        ("plain", "plain"),
    ] {
        assert_eq!(
            private_tag(reference, &digest),
            format!("lfctl.local/{name}:{}", digest.short())
        );
    }
}

#[test]
fn a_config_that_is_not_the_signed_one_is_refused() {
    let mut image = image(&[b"one"]);
    source::check_source(&image).unwrap();
    image.config = Bytes::from_static(b"{}");
    let error = source::check_source(&image).unwrap_err();
    assert!(matches!(error, LoadError::Source { part: "config", .. }));
}
