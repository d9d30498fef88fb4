//! Layers that turn out to be wrong, and what is taken back then.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::Arc;

use lfctl::engine::Images;
use lfctl::oci::digest::Digest;
use lfctl::report::event::{Silent, StepStatus};
use lfctl::transfer::load::{ImageSource, LoadError, load_images};

use super::{engine_id, outcomes, own_tag};
use crate::support::engine::{Recorder, Rig, busybox, layer, noise};

/// Fails after `good` bytes, as a verifying reader does at a wrong one.
struct Broken<R> {
    inner: R,
    good: usize,
}

impl<R: Read> Read for Broken<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.good == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "digest mismatch",
            ));
        }
        let count = self.good.min(buffer.len());
        let count = self.inner.read(&mut buffer[..count])?;
        self.good -= count;
        Ok(count)
    }
}

pub(super) async fn a_wrong_byte_aborts_the_load_and_leaves_no_tag(rig: Rig) {
    let big = layer(&[("noise", 0o644, &noise(&rig.name, 12 << 20))]);
    let mut image = rig.image("a", &[&busybox(&rig.name), &big]);
    let bad = big.meta.digest;
    // Early, in the middle, and behind the last byte.
    for good in [0, 1, 6 << 20, big.blob.len()] {
        let whole = rig.image("a", &[&busybox(&rig.name), &big]).open;
        image.open = Arc::new(move |digest| {
            let inner = whole(digest)?;
            if *digest == bad {
                return Ok(Box::new(Broken { inner, good }));
            }
            Ok(inner)
        });
        let recorder = Recorder::default();
        let error = load_images(&rig.engine, &rig.facts, vec![image.clone()], &recorder)
            .await
            .unwrap_err();
        assert!(matches!(&error, LoadError::Layer { digest, .. } if *digest == bad));
        assert!(error.to_string().contains(&bad.to_string()), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "digest mismatch");
        assert_eq!(outcomes(&recorder), [StepStatus::Failed]);
        for name in [
            own_tag(&image),
            image.reference.clone(),
            engine_id(&rig, &image),
        ] {
            assert_eq!(
                rig.engine.image(&name).await.unwrap(),
                None,
                "{name} after {good}"
            );
        }
    }
}

/// A source whose layer `bad` goes wrong behind its last byte.
fn spoilt(
    image: &mut ImageSource,
    bad: Digest,
    kind: impl Fn() -> io::Error + Send + Sync + 'static,
) {
    let inner = Arc::clone(&image.open);
    image.open = Arc::new(move |digest| {
        let mut bytes = Vec::new();
        inner(digest)?.read_to_end(&mut bytes)?;
        let good = io::Cursor::new(bytes);
        if *digest == bad {
            return Ok(Box::new(good.chain(Fails(kind()))));
        }
        Ok(Box::new(good))
    });
}

struct Fails(io::Error);

impl Read for Fails {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(match self.0.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.0.kind(), self.0.to_string()),
        })
    }
}

/// Some images, the last but one with a layer of its own that comes to be
/// read after the others are in the engine or on their way.
fn several(rig: &Rig) -> (Vec<ImageSource>, Digest) {
    let base = busybox(&rig.name);
    let bad = layer(&[("bad", 0o644, &noise("bad", 24 << 20))]);
    let mut images: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|name| rig.image(name, &[&base, &layer(&[(name, 0o644, b"x")])]))
        .collect();
    images.insert(2, rig.image("bad", &[&base, &bad]));
    (images, bad.meta.digest)
}

async fn held(rig: &Rig, images: &[ImageSource]) -> Vec<bool> {
    let mut held = Vec::new();
    for image in images {
        let id = engine_id(rig, image);
        held.push(rig.engine.image(&id).await.unwrap().is_some());
    }
    held
}

pub(super) async fn a_wrong_byte_takes_back_every_image_of_the_run(rig: Rig) {
    let (mut images, bad) = several(&rig);
    let before = images[0].clone();
    rig.load(vec![before]).await;
    spoilt(&mut images[2], bad, || io::Error::other("digest mismatch"));
    let error = load_images(&rig.engine, &rig.facts, images.clone(), &Silent)
        .await
        .unwrap_err();
    assert!(error.is_wrong_content(), "{error:?}");
    assert_eq!(held(&rig, &images).await, [true, false, false, false]);
}

pub(super) async fn a_failed_read_keeps_what_is_there_and_the_next_run_goes_on(rig: Rig) {
    let (whole, bad) = several(&rig);
    let mut images = whole.clone();
    spoilt(&mut images[2], bad, || io::Error::from_raw_os_error(5));
    let error = load_images(&rig.engine, &rig.facts, images.clone(), &Silent)
        .await
        .unwrap_err();
    assert!(!error.is_wrong_content(), "{error:?}");
    let there = held(&rig, &images).await;
    assert!(!there[2] && there.contains(&true), "{there:?}");
    for image in &images {
        // Nothing is named for the operator before everything is there.
        assert_eq!(rig.engine.image(&image.reference).await.unwrap(), None);
    }
    let loaded = rig.load(whole).await;
    let kept: Vec<_> = loaded.iter().map(|image| image.already_present).collect();
    assert_eq!(kept, there);
    assert!(loaded.iter().all(|image| image.tags.len() == 2));
}

/// The others are on their way while the one with the base fails.
pub(super) async fn without_their_base_no_image_is_loaded(rig: Rig) {
    for kind in [
        || io::Error::other("digest mismatch"),
        || io::Error::from_raw_os_error(5),
    ] {
        let (mut images, _) = several(&rig);
        let base = images[0].layers[0].digest;
        for image in &mut images {
            spoilt(image, base, kind);
        }
        let error = load_images(&rig.engine, &rig.facts, images.clone(), &Silent)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, LoadError::Layer { digest, .. } if *digest == base),
            "{error:?}"
        );
        assert_eq!(held(&rig, &images).await, [false; 4]);
    }
    let (images, _) = several(&rig);
    assert_eq!(rig.load(images).await.len(), 4);
}

pub(super) async fn the_engine_itself_finds_a_torn_body(rig: Rig) {
    let chunks = vec![
        Ok(bytes::Bytes::from_static(&[0; 100])),
        Err(io::Error::other("the stick was pulled out")),
    ];
    let body = Box::pin(futures_util::stream::iter(chunks));
    let error = rig.engine.load("an image", body).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "engine could not load an image: the stick was pulled out"
    );
}

pub(super) async fn what_is_no_image_is_refused_although_http_says_200(rig: Rig) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    header.set_mode(0o644);
    let manifest = br#"[{"Config":"none","RepoTags":["lfctl.local/none:1"],"Layers":[]}]"#;
    header.set_size(manifest.len() as u64);
    tar.append_data(&mut header, "manifest.json", &manifest[..])
        .unwrap();
    let bytes = bytes::Bytes::from(tar.into_inner().unwrap());
    let body = Box::pin(futures_util::stream::iter(vec![Ok(bytes)]));
    let error = rig.engine.load("nothing", body).await.unwrap_err();
    assert!(
        matches!(error, lfctl::engine::EngineError::Load { .. }),
        "{error:?}"
    );
}
