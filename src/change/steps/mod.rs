//! What each step does, and how it is taken back.

mod beside;
mod cold;
mod gateway;
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
            Step::CloseFirewall => self.close_firewall(),
            Step::CreateVolume(name) => self.create_volume(name).await,
            Step::StartService(name) | Step::StartAnew(name) => self.start_service(name).await,
            Step::StartFirst(name) => self.start_first(name).await,
            Step::StartAgain(name) => self.start_again(name).await,
            Step::AwaitHealthy(name) => self.await_healthy(name).await,
            Step::Migrate => self.migrate().await,
            Step::CheckSchemas => self.check_schemas().await,
            Step::ProbeVersion => self.probe_version().await,
            Step::ProbeEvent => self.probe_event().await,
            Step::StartBeside(name) => self.start_beside(name).await,
            Step::AwaitBeside(name) => self.await_beside(name).await,
            Step::Lead(leads) => self.lead(leads).await,
            Step::ProveVersion => self.prove_version().await,
            Step::ProveEvent => self.prove_event().await,
            Step::ProveUpdateCheck => self.prove_update_check().await,
            Step::Commit => self.commit(run),
            Step::Succeed(name) => self.succeed(name).await,
            Step::StopService(name) => self.stop_service(name).await,
            Step::StartKept(name) => self.start_kept(name).await,
            Step::RecordStopped(stopped) => self.record_stopped(stopped),
            Step::MakePoint(point) => self.make_point(point).await,
            Step::DropPoint(point) => self.drop_point(point).await,
            Step::RemoveService(name) => self.retire_service(name).await,
            Step::RemoveNetwork(name) => self.remove_network(name).await,
            Step::RemoveTag(tag) | Step::RemoveStaged(tag) => self.remove_tag(tag).await,
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
            Step::StartService(name)
            | Step::StartFirst(name)
            | Step::StartAgain(name)
            | Step::StartKept(name) => self.put_back_service(name).await,
            Step::StartBeside(name) => self.remove_beside(name).await,
            Step::Lead(leads) => self.lead_back(leads).await,
            Step::StopService(name) => self.start_stopped(name).await,
            Step::MakePoint(point) => self.put_point_back(point).await,
            // Its data goes with it.
            Step::StartAnew(name) => Ok(self.engine.remove(&self.names().container(name)).await?),
            Step::CreateNetwork(name) => Ok(self.engine.remove_network(name).await?),
            Step::CreateVolume(name) => Ok(self.engine.remove_volume(name).await?),
            Step::WriteSite => self.undo_write_site(),
            Step::Migrate => self.remove_job().await,
            // What is staged stays for the next attempt; secrets are only added
            // to; a schema that is migrated additively serves the old release;
            // the old gateway runs behind the same firewall rules.
            Step::Intend
            | Step::StageGeneration
            | Step::LoadImages
            | Step::WriteSecrets
            | Step::CloseFirewall
            | Step::AwaitHealthy(_)
            | Step::CheckSchemas
            | Step::ProbeVersion
            | Step::ProbeEvent
            | Step::AwaitBeside(_)
            | Step::ProveVersion
            | Step::ProveEvent
            | Step::ProveUpdateCheck
            | Step::RecordStopped(_)
            | Step::Commit
            | Step::Succeed(_)
            | Step::DropPoint(_)
            | Step::RemoveService(_)
            | Step::RemoveNetwork(_)
            | Step::RemoveTag(_)
            | Step::RemoveStaged(_)
            | Step::RecordRelease => Ok(()),
        }
    }
}
