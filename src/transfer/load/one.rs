//! Images in one archive: are they there, send them, ask what came of them,
//! take them back.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::archive::{Archive, Form};
use super::source::{diff_ids, private_tag};
use super::stream::{Ahead, Broken, stream};
use super::{ImageSource, LoadError};
use crate::engine::{ContainerEngine, EngineError, EngineFacts, EngineImage, LoadRoute};
use crate::oci::digest::Digest;

/// Time between two progress events.
const TICK: Duration = Duration::from_millis(100);

/// An engine and the way of loading into it.
pub(super) struct Loader<'a, E> {
    pub(super) engine: &'a E,
    pub(super) facts: &'a EngineFacts,
    pub(super) route: LoadRoute,
    /// Set once nothing more is to be sent.
    pub(super) stop: Arc<AtomicBool>,
}

/// What went to the engine.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) bytes: u64,
    pub(super) layers: Vec<Digest>,
}

impl<'a, E> Loader<'a, E> {
    pub(super) fn new(engine: &'a E, facts: &'a EngineFacts) -> Self {
        Self {
            engine,
            facts,
            route: LoadRoute::of(facts),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

impl<E: ContainerEngine> Loader<'_, E> {
    /// The image, if the engine holds exactly it.
    pub(super) async fn present(
        &self,
        image: &ImageSource,
    ) -> Result<Option<EngineImage>, LoadError> {
        for digest in self.ids(image) {
            let found = self
                .engine
                .image(&digest.to_string())
                .await
                .map_err(|source| engine_error(image, source))?;
            if let Some(found) = found.filter(|found| self.same(image, found)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The ids under which the engine may hold the image.
    fn ids(&self, image: &ImageSource) -> Vec<Digest> {
        self.facts
            .image_ids(image.manifest_digest, image.config_digest)
    }

    fn same(&self, image: &ImageSource, found: &EngineImage) -> bool {
        let id = self
            .ids(image)
            .iter()
            .any(|digest| digest.to_string() == found.id);
        id && diff_ids(image) == found.diff_ids
    }

    /// Bytes of the archive without the first `skip` layers.
    pub(super) fn archive_bytes(&self, image: &ImageSource, skip: usize) -> u64 {
        Archive::new(slice::from_ref(image), self.form(), skip).size()
    }

    pub(super) fn form(&self) -> Form {
        match self.route {
            LoadRoute::Inflated { .. } => Form::Inflated,
            LoadRoute::Stored => Form::Stored,
        }
    }

    /// Sends the image under lfctl's own tag, without its first `skip`
    /// layers, which the engine holds, at the latest once `ahead` is loaded.
    /// Leaves nothing behind on failure.
    pub(super) async fn load(
        &self,
        image: &ImageSource,
        skip: usize,
        ahead: Option<Ahead>,
        progress: &dyn Fn(u64),
    ) -> Result<(EngineImage, Sent), LoadError> {
        let before = self.held(image).await?;
        let images = slice::from_ref(image);
        let mut result = self.send(images, skip, ahead, progress).await;
        let left_out = &image.layers[..skip];
        let at_hand = left_out
            .iter()
            .all(|layer| !image.absent.contains(&layer.digest));
        if skip > 0 && at_hand && result.as_ref().is_err_and(LoadError::is_refusal) {
            // Somebody pruned in between.
            result = self.send(images, 0, None, progress).await;
        }
        let checked = match result {
            Ok(mut sent) => {
                let found = self.check(image).await;
                found.map(|found| (found, sent.pop().unwrap_or_default()))
            }
            Err(error) => Err(error),
        };
        if checked.is_err() {
            self.undo(image, before.as_ref()).await;
        }
        checked
    }

    /// Sends one archive of these images, and tells `progress` how many of
    /// its bytes are sent. Returns what was sent of each.
    pub(super) async fn send(
        &self,
        images: &[ImageSource],
        skip: usize,
        ahead: Option<Ahead>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<Sent>, LoadError> {
        let Some(first) = images.first() else {
            return Ok(Vec::new());
        };
        let form = self.form();
        let stream = stream(images, form, skip, &self.stop, ahead).map_err(|source| {
            let reference = first.reference.clone();
            LoadError::Thread { reference, source }
        })?;
        let what = match images.len() {
            1 => first.reference.clone(),
            count => format!("{} and {} more", first.reference, count - 1),
        };
        let mut load = std::pin::pin!(self.engine.load(&what, stream.body));
        let mut tick = tokio::time::interval(TICK);
        let mut shown = 0;
        let result = loop {
            tokio::select! {
                result = &mut load => break result,
                _ = tick.tick() => {
                    let sent = stream.sent.load(Ordering::Relaxed);
                    if sent != shown {
                        progress(sent);
                        shown = sent;
                    }
                }
            }
        };
        let broken = stream
            .broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match broken {
            Some(Broken::GivenUp) => return Err(LoadError::GivenUp(first.reference.clone())),
            Some(Broken::Layer(unread)) => {
                let image = images.get(unread.place).unwrap_or(first);
                return Err(LoadError::Layer {
                    reference: image.reference.clone(),
                    digest: unread.layer,
                    source: unread.error,
                });
            }
            None => result.map_err(|source| engine_error(first, source))?,
        }
        progress(stream.sent.load(Ordering::Relaxed));
        let archive = Archive::new(images, form, skip);
        let sizes = archive.sizes().into_iter().enumerate();
        let sent = sizes.map(|(place, bytes)| Sent {
            bytes,
            layers: archive.layers(place),
        });
        Ok(sent.collect())
    }

    /// What lfctl's own tag of the image points at.
    pub(super) async fn held(&self, image: &ImageSource) -> Result<Option<EngineImage>, LoadError> {
        let private = private_tag(&image.reference, &image.config_digest);
        let held = self.engine.image(&private).await;
        held.map_err(|source| engine_error(image, source))
    }

    /// What the engine holds under lfctl's own tag, if it is the image.
    pub(super) async fn check(&self, image: &ImageSource) -> Result<EngineImage, LoadError> {
        let found = self.held(image).await?;
        let expected = self
            .ids(image)
            .iter()
            .map(Digest::to_string)
            .collect::<Vec<_>>();
        let wanted = diff_ids(image);
        let found = match found {
            Some(found) if self.same(image, &found) => return Ok(found),
            None => "nothing".to_owned(),
            Some(found) if expected.contains(&found.id) => {
                return Err(LoadError::Identity {
                    reference: image.reference.clone(),
                    expected: format!("layers {}", wanted.join(", ")),
                    found: format!("layers {}", found.diff_ids.join(", ")),
                });
            }
            Some(found) => found.id,
        };
        Err(LoadError::Identity {
            reference: image.reference.clone(),
            expected: expected.join(" or "),
            found,
        })
    }

    /// Takes back a tag that a failed load has set. Best effort: the failure
    /// itself is what the operator has to hear.
    pub(super) async fn undo(&self, image: &ImageSource, before: Option<&EngineImage>) {
        if let Ok(Some(now)) = self.held(image).await
            && before.is_none_or(|before| before.id != now.id)
        {
            let private = private_tag(&image.reference, &image.config_digest);
            let _ = self.engine.untag(&private).await;
        }
    }
}

pub(super) fn engine_error(image: &ImageSource, source: EngineError) -> LoadError {
    LoadError::Engine {
        reference: image.reference.clone(),
        source,
    }
}
