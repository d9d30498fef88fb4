use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::*;
use crate::bundle::manifest::Layer;

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
        open: Arc::new(move |wanted| {
            let found = blobs.iter().find(|(digest, _)| digest == wanted);
            let (_, data) = found.ok_or_else(|| io::Error::other("no such layer"))?;
            Ok(Box::new(*data))
        }),
    }
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
    check_source(&image).unwrap();
    image.config = Bytes::from_static(b"{}");
    let error = check_source(&image).unwrap_err();
    assert!(matches!(error, LoadError::Source { part: "config", .. }));
}

#[tokio::test]
async fn the_stream_is_the_archive() {
    let big: &'static [u8] = vec![7; 3 << 20].leak();
    let image = image(&[big, b"two"]);
    let stream = stream(&image, "a:b", 0).unwrap();
    let chunks: Vec<_> = stream.body.map(Result::unwrap).collect().await;
    let mut expected = Vec::new();
    Archive::new(&image, "a:b", 0).write(&mut expected).unwrap();
    assert!(chunks.concat() == expected);
    assert_eq!(stream.sent.load(Ordering::Relaxed), expected.len() as u64);
}

#[tokio::test]
async fn a_broken_layer_ends_the_stream_with_an_error_that_names_it() {
    let mut image = image(&[b"one", b"two"]);
    let bad = image.layers[1].digest;
    let good = Arc::clone(&image.open);
    image.open = Arc::new(move |digest| {
        if *digest == bad {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong byte"));
        }
        good(digest)
    });
    let stream = stream(&image, "a:b", 0).unwrap();
    let last = stream.body.collect::<Vec<_>>().await.pop().unwrap();
    let text = last.unwrap_err().to_string();
    assert!(text.contains(&bad.to_string()), "{text}");
    assert!(text.contains("wrong byte"), "{text}");
    assert_eq!(stream.broken.lock().unwrap().as_ref().unwrap().0, bad);
}
