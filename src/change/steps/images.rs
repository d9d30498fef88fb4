//! Loading images.

use super::BringUp;
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::Status;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::engine::{ContainerEngine, EngineError};
use crate::transfer::load::{self, Loaded};
use crate::transfer::plan as images;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn load_images(&mut self, run: &str) -> Result<Done, ChangeError> {
        let Some(bundle) = self.bundle else {
            return Err(ChangeError::NoBundle);
        };
        let sources = images::sources(bundle, self.bases)?;
        let loaded = load::load_images(self.engine, self.facts, sources, self.reporter).await?;
        for image in &loaded {
            self.record(image);
        }
        // What the engine calls an image is known only now.
        if self.previous.is_some() {
            // What runs stays on record until the commit.
            return self.stage_generation();
        }
        self.write_state(Status::Installing, run)?;
        Ok(Done::now())
    }

    fn record(&mut self, image: &Loaded) {
        for key in &image.keys {
            let known = self
                .target
                .images
                .get(key)
                .map(|known| known.tags.as_slice());
            let is_ours = |tag: &&String| known.is_none_or(|tags| tags.contains(tag));
            let installed = InstalledImage {
                reference: image.reference.clone(),
                id: image.id.clone(),
                tags: image.tags.iter().filter(is_ours).cloned().collect(),
            };
            self.target.images.insert(key.clone(), installed);
        }
    }

    pub(super) async fn remove_tag(&mut self, tag: &str) -> Result<Done, ChangeError> {
        match self.engine.untag(tag).await {
            Ok(()) => Ok(Done::now()),
            Err(EngineError::Refused {
                status: Some(409), ..
            }) => Ok(Done::with("kept: other containers use it".to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}
