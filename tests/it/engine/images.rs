use lfctl::engine::{Images, LoadRoute};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use lfctl::oci::digest::Digest;
use lfctl::report::event::{Event, Silent, StepStatus};
use lfctl::transfer::load::{ImageSource, LoadError, load_images, private_tag};

mod wrong;

use self::wrong::{
    a_failed_read_keeps_what_is_there_and_the_next_run_goes_on,
    a_wrong_byte_aborts_the_load_and_leaves_no_tag, a_wrong_byte_takes_back_every_image_of_the_run,
    the_engine_itself_finds_a_torn_body, what_is_no_image_is_refused_although_http_says_200,
    without_their_base_no_image_is_loaded,
};
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
    images_of_one_base_send_it_once,
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

/// The id that the engine gives it.
fn engine_id(rig: &Rig, image: &ImageSource) -> String {
    let ids = rig
        .facts
        .image_ids(image.manifest_digest, image.config_digest);
    ids[0].to_string()
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

/// How each image ended, without the step that stands for all of them.
fn outcomes(recorder: &Recorder) -> Vec<StepStatus> {
    let events = recorder.0.lock().unwrap();
    let ends = events.iter().filter_map(|event| match event {
        Event::StepFinished { id, outcome, .. } if *id != "load" => Some(*outcome),
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
    assert_eq!(loaded[0].id, engine_id(&rig, &image));
    assert_eq!(loaded[0].tags, [own_tag(&image), image.reference.clone()]);
    assert!(!loaded[0].already_present);
    assert!(loaded[0].sent_bytes > image.layers[0].size);
    assert_eq!(outcomes(&recorder), [StepStatus::Done]);
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
    assert_eq!(outcomes(&recorder), [StepStatus::AlreadyDone]);
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

async fn images_of_one_base_send_it_once(rig: Rig) {
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
    if LoadRoute::of(&rig.facts) == LoadRoute::Stored {
        let layers = base.meta.size + tops.iter().map(|top| top.meta.size).sum::<u64>();
        let bytes: u64 = loaded.iter().map(|image| image.sent_bytes).sum();
        assert!((layers..layers + 30_000).contains(&bytes), "{bytes}");
    }
    // In one write: Podman 4.3 loses what comes before the end of a line.
    let spec = rig.spec("cat", &loaded[3].id, "echo $(cat /mark; stat -c %s /four)");
    let (code, logs) = rig.run_to_end(&spec).await;
    assert_eq!((code, logs), (0, format!("{}{}\n", rig.name, 1 << 20)));
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
