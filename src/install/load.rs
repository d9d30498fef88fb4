//! The images of a bundle into the engine.
//!
//! An image counts as there only when id and diff ids are the signed ones.
//! What is missing is sent as one archive per image, made while it is sent,
//! each layer through a verifying reader: the first wrong byte aborts the
//! load. Neither HTTP 200 nor the end of the stream proves anything; the
//! engine is asked afterwards what it holds.
//!
//! An archive names an image only by lfctl's own tag, because engines move
//! a tag they are given without a word. That tag stays, so that nobody prunes
//! the image; the operator's reference comes on top where it is free.

mod archive;
mod error;
mod source;
mod stream;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use self::error::LoadError;
pub use self::source::{ImageSource, OpenLayer, private_tag};

use self::archive::Archive;
use self::source::{check_source, diff_ids};
use self::stream::stream;
use crate::engine::{ContainerEngine, EngineError, EngineFacts, EngineImage, EngineKind};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Outcome, Reporter, Step, Unit, notice};

/// Host part of lfctl's own tags. `.local` is never served by a registry.
const PRIVATE: &str = "lfctl.local";
/// Time between two progress events.
const TICK: Duration = Duration::from_millis(100);

/// An image that is in the engine, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Keys by which services name it.
    pub keys: Vec<String>,
    /// The engine's id: what containers are made from.
    pub id: String,
    /// Reference as operators see it, whether it points here or not.
    pub reference: String,
    /// Tags that point at it because of lfctl, its own one first.
    pub tags: Vec<String>,
    /// Bytes that went to the engine.
    pub sent_bytes: u64,
    /// Whether it was there before.
    pub already_present: bool,
}

/// Brings every image into the engine, in order, and tags it.
///
/// Emits one step per image, `load.<first key>`, that counts bytes, and a
/// notice `image.tag-taken` where the operator's reference already points at
/// another image. Stops at the first image that fails; what was loaded before
/// stays, under lfctl's own tags.
pub async fn load_images<E: ContainerEngine>(
    engine: &E,
    facts: &EngineFacts,
    images: Vec<ImageSource>,
    reporter: &dyn Reporter,
) -> Result<Vec<Loaded>, LoadError> {
    let mut work = Loader {
        engine,
        facts,
        reporter,
        chains: None,
    };
    let mut loaded = Vec::with_capacity(images.len());
    for image in &images {
        loaded.push(work.bring(image).await?);
    }
    Ok(loaded)
}

struct Loader<'a, E> {
    engine: &'a E,
    facts: &'a EngineFacts,
    reporter: &'a dyn Reporter,
    /// Layer chains the engine is known to hold, as diff ids from the base
    /// up; `None` until somebody asks.
    chains: Option<Vec<Vec<String>>>,
}

impl<E: ContainerEngine> Loader<'_, E> {
    async fn bring(&mut self, image: &ImageSource) -> Result<Loaded, LoadError> {
        check_source(image)?;
        let private = private_tag(&image.reference, &image.config_digest);
        let id = format!("load.{}", image.keys.first().unwrap_or(&image.reference));
        let label = format!("load image {}", image.reference);
        let total = Archive::new(image, &private, 0).size();
        let step = Step::sized(self.reporter, &id, &label, Some(total), Unit::Bytes);

        let (engine_image, sent_bytes) = if let Some(there) = self.present(image).await? {
            (there, None)
        } else {
            let (there, sent) = self.load(image, &private, &step).await?;
            (there, Some(sent))
        };
        let tags = self.tag(image, &private, &engine_image).await?;
        if let Some(chains) = &mut self.chains {
            chains.push(engine_image.diff_ids);
        }
        match sent_bytes {
            None => step.finish(Outcome::AlreadyDone, None),
            Some(sent) => {
                let left_out = total.saturating_sub(sent);
                let detail =
                    (left_out > 0).then(|| format!("the engine had {left_out} of {total} bytes"));
                step.finish(Outcome::Done, detail);
            }
        }
        Ok(Loaded {
            keys: image.keys.clone(),
            id: engine_image.id,
            reference: image.reference.clone(),
            tags,
            sent_bytes: sent_bytes.unwrap_or(0),
            already_present: sent_bytes.is_none(),
        })
    }

    /// The image, if the engine holds exactly it.
    async fn present(&self, image: &ImageSource) -> Result<Option<EngineImage>, LoadError> {
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
        if self.facts.containerd_store {
            vec![image.manifest_digest, image.config_digest]
        } else {
            vec![image.config_digest]
        }
    }

    fn same(&self, image: &ImageSource, found: &EngineImage) -> bool {
        let id = self
            .ids(image)
            .iter()
            .any(|digest| digest.to_string() == found.id);
        id && diff_ids(image) == found.diff_ids
    }

    async fn load(
        &mut self,
        image: &ImageSource,
        private: &str,
        step: &Step<'_>,
    ) -> Result<(EngineImage, u64), LoadError> {
        let before = self
            .engine
            .image(private)
            .await
            .map_err(|source| engine_error(image, source))?;
        let skip = self.held_layers(image).await?;
        let mut result = self.send(image, private, skip, step).await;
        if skip > 0
            && matches!(
                &result,
                Err(LoadError::Engine {
                    source: EngineError::Load { .. },
                    ..
                })
            )
        {
            // Somebody pruned in between, or the store wants whole archives.
            result = self.send(image, private, 0, step).await;
        }
        let checked = match result {
            Ok(sent) => self.check(image, private).await.map(|found| (found, sent)),
            Err(error) => Err(error),
        };
        if checked.is_err() {
            self.undo(private, before.as_ref()).await;
        }
        checked
    }

    /// How many layers from the base up need not be sent: Docker's classic
    /// store takes layers it has by their chain of diff ids.
    async fn held_layers(&mut self, image: &ImageSource) -> Result<usize, LoadError> {
        if self.facts.kind != EngineKind::Docker || self.facts.containerd_store {
            return Ok(0);
        }
        if self.chains.is_none() {
            let images = self
                .engine
                .images(&format!("{PRIVATE}/*"))
                .await
                .map_err(|source| engine_error(image, source))?;
            self.chains = Some(images.into_iter().map(|image| image.diff_ids).collect());
        }
        let wanted = diff_ids(image);
        let shared = |chain: &Vec<String>| {
            let pairs = chain.iter().zip(&wanted);
            pairs.take_while(|(held, wanted)| held == wanted).count()
        };
        Ok(self.chains.iter().flatten().map(shared).max().unwrap_or(0))
    }

    /// Sends one archive and returns its bytes.
    async fn send(
        &self,
        image: &ImageSource,
        private: &str,
        skip: usize,
        step: &Step<'_>,
    ) -> Result<u64, LoadError> {
        let stream = stream(image, private, skip)?;
        let mut load = std::pin::pin!(self.engine.load(&image.reference, stream.body));
        let mut tick = tokio::time::interval(TICK);
        let mut shown = 0;
        let result = loop {
            tokio::select! {
                result = &mut load => break result,
                _ = tick.tick() => {
                    let sent = stream.sent.load(Ordering::Relaxed);
                    if sent != shown {
                        step.progress(sent);
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
        if let Some((digest, source)) = broken {
            return Err(LoadError::Layer {
                reference: image.reference.clone(),
                digest,
                source,
            });
        }
        result.map_err(|source| engine_error(image, source))?;
        let sent = stream.sent.load(Ordering::Relaxed);
        step.progress(sent);
        Ok(sent)
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
    async fn undo(&self, private: &str, before: Option<&EngineImage>) {
        if let Ok(Some(now)) = self.engine.image(private).await
            && before.is_none_or(|before| before.id != now.id)
        {
            let _ = self.engine.untag(private).await;
        }
    }

    /// Points lfctl's own tag and, if it is free, the operator's reference at
    /// the image.
    async fn tag(
        &self,
        image: &ImageSource,
        private: &str,
        found: &EngineImage,
    ) -> Result<Vec<String>, LoadError> {
        let failed = |source| engine_error(image, source);
        let mut tags = vec![private.to_owned()];
        if !found.tags.iter().any(|tag| tag == private) {
            self.engine.tag(&found.id, private).await.map_err(failed)?;
        }
        match self.engine.image(&image.reference).await.map_err(failed)? {
            Some(other) if other.id != found.id => notice(
                self.reporter,
                Level::Warning,
                "image.tag-taken",
                format!(
                    "`{}` already points at {}, not at the bundle's {}; it was left alone",
                    image.reference, other.id, found.id
                ),
            ),
            Some(_) => tags.push(image.reference.clone()),
            None => {
                self.engine
                    .tag(&found.id, &image.reference)
                    .await
                    .map_err(failed)?;
                tags.push(image.reference.clone());
            }
        }
        Ok(tags)
    }
}

fn engine_error(image: &ImageSource, source: EngineError) -> LoadError {
    LoadError::Engine {
        reference: image.reference.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
