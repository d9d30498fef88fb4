//! One image: is it there, send it, ask what came of it, take it back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::archive::{Archive, Form};
use super::progress::Part;
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
        let private = private_tag(&image.reference, &image.config_digest);
        Archive::new(image, &private, self.form(), skip).size()
    }

    fn form(&self) -> Form {
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
        part: &Part<'_>,
    ) -> Result<(EngineImage, Sent), LoadError> {
        let private = private_tag(&image.reference, &image.config_digest);
        let before = self
            .engine
            .image(&private)
            .await
            .map_err(|source| engine_error(image, source))?;
        let mut result = self.send(image, &private, skip, ahead, part).await;
        let left_out = &image.layers[..skip];
        let at_hand = left_out
            .iter()
            .all(|layer| !image.absent.contains(&layer.digest));
        if skip > 0 && at_hand && result.as_ref().is_err_and(LoadError::is_refusal) {
            // Somebody pruned in between.
            result = self.send(image, &private, 0, None, part).await;
        }
        let checked = match result {
            Ok(sent) => self.check(image, &private).await.map(|found| (found, sent)),
            Err(error) => Err(error),
        };
        if checked.is_err() {
            self.undo(&private, before.as_ref()).await;
        }
        checked
    }

    /// Sends one archive.
    async fn send(
        &self,
        image: &ImageSource,
        private: &str,
        skip: usize,
        ahead: Option<Ahead>,
        part: &Part<'_>,
    ) -> Result<Sent, LoadError> {
        let form = self.form();
        let stream = stream(image, private, form, skip, &self.stop, ahead)?;
        let mut load = std::pin::pin!(self.engine.load(&image.reference, stream.body));
        let mut tick = tokio::time::interval(TICK);
        let mut shown = 0;
        let result = loop {
            tokio::select! {
                result = &mut load => break result,
                _ = tick.tick() => {
                    let sent = stream.sent.load(Ordering::Relaxed);
                    if sent != shown {
                        part.progress(sent);
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
        if let Some(broken) = broken {
            let reference = image.reference.clone();
            return Err(match broken {
                Broken::GivenUp => LoadError::GivenUp(reference),
                Broken::Layer(digest, source) => LoadError::Layer {
                    reference,
                    digest,
                    source,
                },
            });
        }
        result.map_err(|source| engine_error(image, source))?;
        let bytes = stream.sent.load(Ordering::Relaxed);
        part.progress(bytes);
        let layers = Archive::new(image, private, form, skip).layers().collect();
        Ok(Sent { bytes, layers })
    }

    /// What the engine holds under `private`, if it is the image.
    async fn check(&self, image: &ImageSource, private: &str) -> Result<EngineImage, LoadError> {
        let found = self
            .engine
            .image(private)
            .await
            .map_err(|source| engine_error(image, source))?;
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
    pub(super) async fn undo(&self, private: &str, before: Option<&EngineImage>) {
        if let Ok(Some(now)) = self.engine.image(private).await
            && before.is_none_or(|before| before.id != now.id)
        {
            let _ = self.engine.untag(private).await;
        }
    }
}

pub(super) fn engine_error(image: &ImageSource, source: EngineError) -> LoadError {
    LoadError::Engine {
        reference: image.reference.clone(),
        source,
    }
}
