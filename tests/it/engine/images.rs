use lfctl::engine::Images;
use std::error::Error as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use lfctl::oci::digest::Digest;
use lfctl::report::event::{Event, Outcome, Silent};
use lfctl::transfer::load::{ImageSource, LoadError, load_images, private_tag};

use crate::support::engine::{Recorder, Rig, busybox, docker, layer, noise};

/// Makes two tests of each: over the engine of this host, and over a Podman
/// of its own, which takes the other way of loading.
macro_rules! over_each_engine {
    ($($test:ident,)*) => {$(
        mod $test {
            use super::Rig;

            #[tokio::test]
            #[ignore = "needs an engine"]
            async fn host() {
                super::$test(Rig::new().await).await;
            }

            #[tokio::test]
            #[ignore = "needs Podman and root"]
            async fn podman() {
                super::$test(Rig::podman().await).await;
            }
        }
    )*};
}

over_each_engine! {
    an_image_is_loaded_once,
    only_missing_images_are_sent,
    a_loaded_image_runs,
    an_image_that_lost_its_tags_gets_them_back,
    a_wrong_byte_aborts_the_load_and_leaves_no_tag,
    a_wrong_byte_takes_back_every_image_of_the_run,
    a_failed_read_keeps_what_is_there_and_the_next_run_goes_on,
    without_their_base_no_image_is_loaded,
    the_engine_itself_finds_a_torn_body,
    what_is_no_image_is_refused_although_http_says_200,
    a_foreign_tag_is_not_moved,
    another_image_than_the_signed_one_is_not_accepted,
}

fn own_tag(image: &ImageSource) -> String {
    private_tag(&image.reference, &image.config_digest)
}

/// Has the digests of the layers that are read written down.
fn watch(image: &mut ImageSource) -> Arc<Mutex<Vec<Digest>>> {
    let read = Arc::new(Mutex::new(Vec::new()));
    let (inner, seen) = (Arc::clone(&image.open), Arc::clone(&read));
    image.open = Arc::new(move |digest| {
        seen.lock().unwrap().push(*digest);
        inner(digest)
    });
    read
}

fn outcomes(recorder: &Recorder) -> Vec<Outcome> {
    let events = recorder.0.lock().unwrap();
    let ends = events.iter().filter_map(|event| match event {
        Event::StepFinished { outcome, .. } => Some(*outcome),
        _ => None,
    });
    ends.collect()
}

async fn an_image_is_loaded_once(rig: Rig) {
    let image = rig.image("a", &[&busybox(&rig.name)]);
    let recorder = Recorder::default();
    let loaded = load_images(&rig.engine, &rig.facts, vec![image.clone()], &recorder)
        .await
        .unwrap();
    assert_eq!(loaded[0].id, image.config_digest.to_string());
    assert_eq!(loaded[0].tags, [own_tag(&image), image.reference.clone()]);
    assert!(!loaded[0].already_present);
    assert!(loaded[0].sent_bytes > image.layers[0].size);
    assert_eq!(outcomes(&recorder), [Outcome::Done]);
    for tag in &loaded[0].tags {
        let held = rig.engine.image(tag).await.unwrap().unwrap();
        assert_eq!(held.id, loaded[0].id);
    }

    let mut again = image.clone();
    let read = watch(&mut again);
    let recorder = Recorder::default();
    let second = load_images(&rig.engine, &rig.facts, vec![again], &recorder)
        .await
        .unwrap();
    assert!(second[0].already_present);
    assert_eq!(second[0].sent_bytes, 0);
    assert_eq!(second[0].tags, loaded[0].tags);
    assert!(read.lock().unwrap().is_empty());
    assert_eq!(outcomes(&recorder), [Outcome::AlreadyDone]);
}

async fn only_missing_images_are_sent(rig: Rig) {
    let base = busybox(&rig.name);
    let mut first = rig.image("first", &[&base]);
    let mut second = rig.image("second", &[&base, &layer(&[("two", 0o644, b"2")])]);
    rig.load(vec![first.clone()]).await;
    let read = [watch(&mut first), watch(&mut second)];
    let loaded = rig.load(vec![first, second.clone()]).await;
    let there: Vec<_> = loaded.iter().map(|image| image.already_present).collect();
    assert_eq!(there, [true, false]);
    assert_eq!(loaded[0].sent_bytes, 0);
    assert!(read[0].lock().unwrap().is_empty());
    assert!(read[1].lock().unwrap().contains(&second.layers[1].digest));
}

async fn a_loaded_image_runs(rig: Rig) {
    let top = layer(&[("two", 0o644, b"2")]);
    let image = rig.image("a", &[&busybox(&rig.name), &top]);
    let id = rig.load(vec![image]).await.remove(0).id;
    // In one write: Podman 4.3 loses what comes before the end of a line.
    let spec = rig.spec("cat", &id, "echo $(cat /two /mark)");
    let (code, logs) = rig.run_to_end(&spec).await;
    assert_eq!((code, logs), (0, format!("2{}\n", rig.name)));
}

async fn an_image_that_lost_its_tags_gets_them_back(rig: Rig) {
    let image = rig.image("a", &[&busybox(&rig.name)]);
    rig.load(vec![image.clone()]).await;
    rig.engine.untag(&own_tag(&image)).await.unwrap();
    let loaded = rig.load(vec![image.clone()]).await;
    assert!(loaded[0].already_present);
    assert!(rig.engine.image(&own_tag(&image)).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn layers_the_engine_has_are_not_sent() {
    let rig = Rig::new().await;
    rig.must_take_partial_archives();
    let base = busybox(&rig.name);
    let first = rig.image("first", &[&base, &layer(&[("one", 0o644, b"1")])]);
    let mut second = rig.image("second", &[&base, &layer(&[("two", 0o644, b"2")])]);
    rig.load(vec![first]).await;
    let read = watch(&mut second);
    let loaded = rig.load(vec![second.clone()]).await;
    let sent = loaded[0].sent_bytes;
    assert!(sent < base.meta.size / 10, "{sent} bytes were sent");
    assert_eq!(*read.lock().unwrap(), [second.layers[1].digest]);
    let spec = rig.spec("cat", &loaded[0].id, "cat /two /mark");
    let (code, logs) = rig.run_to_end(&spec).await;
    assert_eq!((code, logs), (0, format!("2{}", rig.name)));
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn layers_that_go_away_meanwhile_are_sent_after_all() {
    let rig = Rig::new().await;
    rig.must_take_partial_archives();
    let base = busybox(&rig.name);
    let first = rig.image("first", &[&base]);
    let mut second = rig.image("second", &[&base, &layer(&[("two", 0o644, b"2")])]);
    let tags = rig.load(vec![first]).await.remove(0).tags;
    let inner = Arc::clone(&second.open);
    let pruned = AtomicBool::new(false);
    second.open = Arc::new(move |digest| {
        if !pruned.swap(true, Ordering::Relaxed) {
            docker(&["rmi", &tags[0], &tags[1]]);
        }
        inner(digest)
    });
    let read = watch(&mut second);
    let loaded = rig.load(vec![second.clone()]).await;
    assert!(loaded[0].sent_bytes > base.meta.size);
    let (base, top) = (second.layers[0].digest, second.layers[1].digest);
    assert_eq!(*read.lock().unwrap(), [top, base, top]);
}

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

async fn a_wrong_byte_aborts_the_load_and_leaves_no_tag(rig: Rig) {
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
        assert_eq!(outcomes(&recorder), [Outcome::Failed]);
        for name in [
            own_tag(&image),
            image.reference.clone(),
            image.config_digest.to_string(),
        ] {
            assert_eq!(
                rig.engine.image(&name).await.unwrap(),
                None,
                "{name} after {good}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn images_of_one_base_send_it_once() {
    let rig = Rig::new().await;
    rig.must_take_partial_archives();
    let base = busybox(&rig.name);
    let names = ["one", "two", "three", "four"];
    let tops = names.map(|name| layer(&[(name, 0o644, &noise(name, 1 << 20))]));
    let mut images: Vec<_> = names
        .iter()
        .zip(&tops)
        .map(|(name, top)| rig.image(name, &[&base, top]))
        .collect();
    let reads: Vec<_> = images.iter_mut().map(watch).collect();
    let loaded = rig.load(images.clone()).await;
    let references = |images: &[ImageSource]| -> Vec<_> {
        images.iter().map(|image| image.reference.clone()).collect()
    };
    let in_order: Vec<_> = loaded.iter().map(|image| image.reference.clone()).collect();
    assert_eq!(in_order, references(&images));
    let mut read: Vec<_> = reads
        .iter()
        .flat_map(|read| read.lock().unwrap().clone())
        .collect();
    let mut sent: Vec<_> = loaded
        .iter()
        .flat_map(|image| image.sent_layers.clone())
        .collect();
    let mut wanted: Vec<_> = tops.iter().map(|top| top.meta.digest).collect();
    wanted.push(base.meta.digest);
    for list in [&mut read, &mut sent, &mut wanted] {
        list.sort();
    }
    assert_eq!(read, wanted);
    assert_eq!(sent, wanted);
    let spec = rig.spec("cat", &loaded[3].id, "cat /mark; stat -c %s /four");
    let (code, logs) = rig.run_to_end(&spec).await;
    assert_eq!((code, logs), (0, format!("{}{}\n", rig.name, 1 << 20)));
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
        let id = image.config_digest.to_string();
        held.push(rig.engine.image(&id).await.unwrap().is_some());
    }
    held
}

async fn a_wrong_byte_takes_back_every_image_of_the_run(rig: Rig) {
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

async fn a_failed_read_keeps_what_is_there_and_the_next_run_goes_on(rig: Rig) {
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
async fn without_their_base_no_image_is_loaded(rig: Rig) {
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

async fn the_engine_itself_finds_a_torn_body(rig: Rig) {
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

async fn what_is_no_image_is_refused_although_http_says_200(rig: Rig) {
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

async fn a_foreign_tag_is_not_moved(rig: Rig) {
    let base = busybox(&rig.name);
    let theirs = rig.image("theirs", &[&base]);
    let mut ours = rig.image("ours", &[&base, &layer(&[("ours", 0o644, b"1")])]);
    ours.reference.clone_from(&theirs.reference);
    rig.forget_reference(&own_tag(&ours));
    let foreign = rig.load(vec![theirs.clone()]).await.remove(0);
    let recorder = Recorder::default();
    let loaded = load_images(&rig.engine, &rig.facts, vec![ours.clone()], &recorder)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(loaded.tags, [own_tag(&ours)]);
    let held = rig.engine.image(&theirs.reference).await.unwrap().unwrap();
    assert_eq!(held.id, foreign.id);
    let events = recorder.0.lock().unwrap();
    let notice = events.iter().find_map(|event| match event {
        Event::Notice { code, text, .. } if code == "image.tag-taken" => Some(text),
        _ => None,
    });
    let text = notice.unwrap();
    assert!(
        text.contains(&foreign.id) && text.contains(&loaded.id),
        "{text}"
    );
}

async fn another_image_than_the_signed_one_is_not_accepted(rig: Rig) {
    let mut image = rig.image("a", &[&busybox(&rig.name)]);
    // The config names one layer, the signed metadata another.
    let signed = Digest::of(b"another layer");
    let actual = std::mem::replace(&mut image.layers[0].diff_id, signed);
    let error = load_images(&rig.engine, &rig.facts, vec![image.clone()], &Silent)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LoadError::Identity { .. }), "{text}");
    assert!(text.contains(&signed.to_string()), "{text}");
    assert!(text.contains(&actual.to_string()), "{text}");
    assert_eq!(rig.engine.image(&own_tag(&image)).await.unwrap(), None);
}
