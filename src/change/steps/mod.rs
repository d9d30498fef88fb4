//! What each step does, and how it is taken back.

mod health;
mod images;
mod migrate;
mod probe;
mod record;
mod resources;
mod services;

use super::bring_up::BringUp;
use super::error::ChangeError;
use super::runner::{Actions, Done};
use super::step::Step;
use crate::engine::ContainerEngine;

pub use probe::update_check;

impl<E: ContainerEngine> Actions for BringUp<'_, E> {
    type Step = Step;

    async fn run(&mut self, step: &Step, run: &str) -> Result<Done, ChangeError> {
        let result = match step {
            Step::Intend => self.intend(run),
            Step::StageGeneration => self.stage_generation(),
            Step::LoadImages => self.load_images(run).await,
            Step::WriteSite => self.write_site(),
            Step::WriteSecrets => self.write_secrets(),
            Step::CreateNetwork(name) => self.create_network(name).await,
            Step::CreateVolume(name) => self.create_volume(name).await,
            Step::StartService(name) => self.start_service(name).await,
            Step::AwaitHealthy(name) => self.await_healthy(name).await,
            Step::Migrate => self.migrate().await,
            Step::CheckSchemas => self.check_schemas().await,
            Step::ProbeVersion => self.probe_version().await,
            Step::ProbeEvent => self.probe_event().await,
            Step::Commit => self.commit(run),
            Step::RemoveService(name) => self.retire_service(name).await,
            Step::RemoveTag(tag) => self.remove_tag(tag).await,
            Step::RecordRelease => self.record_release(),
        };
        result.map_err(|error| match error {
            // They quote what a server answered.
            ChangeError::Probe { what, why } => ChangeError::Probe {
                what,
                why: self.redact(&why),
            },
            error => error,
        })
    }

    async fn undo(&mut self, step: &Step) -> Result<(), ChangeError> {
        match step {
            Step::StartService(name) => self.put_back_service(name).await,
            Step::CreateNetwork(name) => Ok(self.engine.remove_network(name).await?),
            Step::CreateVolume(name) => Ok(self.engine.remove_volume(name).await?),
            Step::WriteSite => self.undo_write_site(),
            Step::Migrate => self.remove_job().await,
            // What is staged stays for the next attempt; secrets are only added
            // to; a schema that is migrated additively serves the old release.
            Step::Intend
            | Step::StageGeneration
            | Step::LoadImages
            | Step::WriteSecrets
            | Step::AwaitHealthy(_)
            | Step::CheckSchemas
            | Step::ProbeVersion
            | Step::ProbeEvent
            | Step::Commit
            | Step::RemoveService(_)
            | Step::RemoveTag(_)
            | Step::RecordRelease => Ok(()),
        }
    }
}
