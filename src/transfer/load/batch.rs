//! Images that share layers in one archive, for stores that want whole images:
//! what they share is sent once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::archive::Archive;
use super::bring::{Brought, step};
use super::error::LoadError;
use super::one::Loader;
use super::progress::{Part, Whole};
use super::source::ImageSource;
use crate::engine::ContainerEngine;
use crate::oci::digest::Digest;
use crate::report::event::Reporter;

/// The images that go into one archive, by their places in `layers`: those
/// that share a layer, be it by way of another image. An image that shares
/// none goes alone, so that no more than needed is lost with an archive.
pub fn batches(layers: &[BTreeSet<Digest>]) -> Vec<Vec<usize>> {
    let mut batches: Vec<(Vec<usize>, BTreeSet<Digest>)> = Vec::new();
    for (place, own) in layers.iter().enumerate() {
        let (mut joined, others): (Vec<_>, Vec<_>) = batches
            .into_iter()
            .partition(|(_, layers)| !layers.is_disjoint(own));
        joined.push((vec![place], own.clone()));
        batches = others;
        let (places, layers): (Vec<_>, Vec<_>) = joined.into_iter().unzip();
        batches.push((places.concat(), layers.into_iter().flatten().collect()));
    }
    let mut batches: Vec<_> = batches.into_iter().map(|(places, _)| places).collect();
    for places in &mut batches {
        places.sort_unstable();
    }
    batches.sort_unstable();
    batches
}

/// Sends the images at these places, one archive after the other.
pub(super) async fn bring_batches<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    missing: &[usize],
    brought: &mut [Option<Brought>],
    reporter: &dyn Reporter,
) -> Result<(), LoadError> {
    let digests = |index: &usize| {
        let layers = images[*index].layers.iter();
        layers.map(|layer| layer.digest).collect()
    };
    let layers: Vec<_> = missing.iter().map(digests).collect();
    let batches: Vec<Vec<usize>> = batches(&layers)
        .into_iter()
        .map(|places| places.into_iter().map(|place| missing[place]).collect())
        .collect();
    let sources = |batch: &Vec<usize>| -> Vec<ImageSource> {
        batch.iter().map(|index| images[*index].clone()).collect()
    };
    let sizes = batches
        .iter()
        .map(|batch| Archive::new(&sources(batch), loader.form(), 0).size());
    let whole = Whole::start(reporter, missing.len(), sizes.sum());
    for batch in &batches {
        let sources = sources(batch);
        let steps = Steps {
            reporter,
            whole: &whole,
            images: &sources,
            sizes: Archive::new(&sources, loader.form(), 0).sizes(),
            begun: RefCell::new(sources.iter().map(|_| None).collect()),
        };
        let mut came: Vec<_> = sources.iter().map(|_| None).collect();
        let result = bring_batch(loader, &sources, &steps, &mut came).await;
        for (index, came) in batch.iter().zip(came) {
            brought[*index] = came;
        }
        result?;
    }
    whole.finish();
    Ok(())
}

/// Sends one archive. What an engine does not take of it goes alone: it may
/// load but the first image of an archive, or have no room to keep one of this
/// size.
async fn bring_batch<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    steps: &Steps<'_>,
    came: &mut [Option<Brought>],
) -> Result<(), LoadError> {
    if images.len() > 1 {
        send_together(loader, images, steps, came).await?;
    }
    for (place, image) in images.iter().enumerate() {
        if came[place].is_none() {
            steps.show(place, 0);
            let progress = |sent| steps.show(place, sent);
            let (held, sent) = loader.load(image, 0, None, &progress).await?;
            steps.finish(place);
            came[place] = Some(Brought {
                image: held,
                sent: Some(sent),
            });
        }
    }
    Ok(())
}

/// Sends one archive and asks for each image what came of it, whatever the
/// engine said of the whole. A refusal is no failure.
async fn send_together<E: ContainerEngine>(
    loader: &Loader<'_, E>,
    images: &[ImageSource],
    steps: &Steps<'_>,
    came: &mut [Option<Brought>],
) -> Result<(), LoadError> {
    let mut before = Vec::with_capacity(images.len());
    for image in images {
        before.push(loader.held(image).await?);
    }
    steps.show(0, 0);
    let progress = |sent| steps.sent(sent);
    let (mut sent, failure) = match loader.send(images, 0, None, &progress).await {
        Ok(sent) => (sent.into_iter(), None),
        Err(error) => (Vec::new().into_iter(), Some(error)),
    };
    for (place, image) in images.iter().enumerate() {
        let sent = sent.next().unwrap_or_default();
        if let Ok(held) = loader.check(image).await {
            steps.finish(place);
            came[place] = Some(Brought {
                image: held,
                sent: Some(sent),
            });
        } else {
            loader.undo(image, before[place].as_ref()).await;
        }
    }
    match failure {
        Some(failure) if !failure.is_refusal() => Err(failure),
        _ => Ok(()),
    }
}

/// The images of one archive as steps: the first begins with the archive, each
/// other one with its first byte.
struct Steps<'a> {
    reporter: &'a dyn Reporter,
    whole: &'a Whole<'a>,
    images: &'a [ImageSource],
    sizes: Vec<u64>,
    begun: RefCell<Vec<Option<Part<'a>>>>,
}

impl Steps<'_> {
    /// So many bytes of the archive are sent.
    fn sent(&self, sent: u64) {
        let mut left = sent;
        for (place, size) in self.sizes.iter().enumerate() {
            if left == 0 {
                break;
            }
            self.show(place, left.min(*size));
            left = left.saturating_sub(*size);
        }
    }

    /// So many bytes of one image are sent.
    fn show(&self, place: usize, sent: u64) {
        let part = &mut self.begun.borrow_mut()[place];
        let part = part.get_or_insert_with(|| {
            let size = Some(self.sizes[place]);
            let step = step(self.reporter, &self.images[place], size);
            Part::new(step, self.whole, 0)
        });
        part.progress(sent);
    }

    /// An image is in the engine.
    fn finish(&self, place: usize) {
        self.show(place, self.sizes[place]);
        if let Some(part) = self.begun.borrow_mut()[place].take() {
            part.finish(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::super::load_images;
    use super::super::tests::image;
    use super::*;
    use crate::engine::testing::facts;
    use crate::engine::{EngineFacts, EngineKind, Images};
    use crate::fake::engine::{FakeEngine, Fault};
    use crate::report::event::Silent;

    const BASE: &[u8] = &[7; 1 << 20];

    fn podman() -> EngineFacts {
        EngineFacts {
            kind: EngineKind::Podman,
            ..facts()
        }
    }

    /// An image that an engine can tell from others.
    fn own(name: &str, layers: &[&'static [u8]]) -> ImageSource {
        let mut image = image(layers);
        let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let config = serde_json::json!({ "name": name, "rootfs": { "diff_ids": diff_ids } });
        image.config = config.to_string().into();
        image.config_digest = Digest::of(&image.config);
        image.manifest = format!("manifest of {name}").into();
        image.manifest_digest = Digest::of(&image.manifest);
        image.reference = format!("registry.test/{name}:1");
        image
    }

    fn three() -> Vec<ImageSource> {
        vec![
            own("a", &[BASE, b"a"]),
            own("other", &[b"other"]),
            own("b", &[BASE, b"b"]),
        ]
    }

    async fn load(engine: &FakeEngine) -> Result<Vec<bool>, LoadError> {
        let loaded = load_images(engine, &podman(), three(), &Silent).await?;
        Ok(loaded.iter().map(|image| image.already_present).collect())
    }

    #[test]
    fn images_that_share_a_layer_go_together() {
        let layers = |names: &[&[&str]]| -> Vec<BTreeSet<Digest>> {
            let digest = |name: &&str| Digest::of(name.as_bytes());
            let digests = |names: &&[&str]| names.iter().map(digest).collect();
            names.iter().map(digests).collect()
        };
        assert!(batches(&[]).is_empty());
        let own = layers(&[&["a"], &["b"], &[], &[]]);
        assert_eq!(batches(&own), [[0], [1], [2], [3]]);
        let by_way_of_another = layers(&[&["a"], &["x"], &["b"], &["a", "b"], &["b", "c"]]);
        assert_eq!(batches(&by_way_of_another), [vec![0, 2, 3, 4], vec![1]]);
    }

    #[tokio::test]
    async fn what_images_share_is_sent_once() {
        let engine = FakeEngine::default();
        assert_eq!(load(&engine).await.unwrap(), [false; 3]);
        let archives = engine.archives();
        assert_eq!(archives.len(), 2);
        assert!(archives.iter().sum::<usize>() < BASE.len() + 20_000);
        assert_eq!(load(&engine).await.unwrap(), [true; 3]);
        assert_eq!(engine.archives(), archives);
    }

    #[tokio::test]
    async fn what_an_engine_does_not_take_of_an_archive_goes_alone() {
        let engine = FakeEngine::default();
        engine.load_first_only();
        assert_eq!(load(&engine).await.unwrap(), [false; 3]);
        assert_eq!(engine.archives().len(), 3);
    }

    #[tokio::test]
    async fn what_came_of_an_archive_that_breaks_off_is_kept() {
        let engine = FakeEngine::default();
        let mut images = three();
        images[2].open = Arc::new(|_| Err(io::Error::from_raw_os_error(5)));
        let error = load_images(&engine, &podman(), images, &Silent).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, LoadError::Layer { reference, .. } if reference.contains("/b:")));
        assert_eq!(load(&engine).await.unwrap(), [true, false, false]);
    }

    #[tokio::test]
    async fn nothing_stays_of_an_archive_with_a_wrong_byte() {
        let engine = FakeEngine::default();
        let mut images = three();
        images[2].open = Arc::new(|_| Err(io::ErrorKind::InvalidData.into()));
        let error = load_images(&engine, &podman(), images, &Silent).await;
        assert!(error.unwrap_err().is_wrong_content());
        assert_eq!(load(&engine).await.unwrap(), [false; 3]);
    }

    #[tokio::test]
    async fn whatever_befalls_a_call_the_next_run_loads_the_rest() {
        let calls = {
            let engine = FakeEngine::default();
            load(&engine).await.unwrap();
            engine.calls().len()
        };
        for number in 0..calls {
            for fault in [Fault::Refused, Fault::AnswerLost] {
                let engine = FakeEngine::default();
                engine.fail_call(number, fault);
                let first = load(&engine).await;
                engine.heal();
                load(&engine).await.unwrap();
                for image in three() {
                    let held = engine.image(&image.reference).await.unwrap();
                    assert!(held.is_some(), "{fault:?} at {number}: {first:?}");
                }
            }
        }
    }
}
