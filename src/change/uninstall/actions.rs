//! What each step of an uninstall does.

use std::path::PathBuf;
use std::time::Duration;

use super::step::Step;
use crate::appliance::Appliance;
use crate::appliance::state::{State, Status};
use crate::change::error::ChangeError;
use crate::change::runner::{Actions, Done};
use crate::change::stop;
use crate::engine::{Container, ContainerEngine, ContainerState, EngineError, LABEL_PART};
use crate::host::firewall::Firewall;
use crate::host::systemd::{self, Manager};
use crate::render::Names;
use crate::stack::JOB;

/// Seconds a container gets of which nothing is recorded.
const DEFAULT_STOP: u64 = 120;

/// An uninstall: all that its steps work with.
#[derive(Debug)]
pub struct Uninstall<'a, E> {
    pub engine: &'a E,
    pub appliance: &'a Appliance,
    /// What is recorded of it.
    pub state: Option<State>,
}

impl<E: ContainerEngine> Actions for Uninstall<'_, E> {
    type Step = Step;

    async fn run(&mut self, step: &Step, _run: &str) -> Result<Done, ChangeError> {
        match step {
            Step::RemoveUnits(files) => self.remove_units(files),
            Step::RemoveContainer(name) => self.remove_container(name).await,
            Step::RemoveNetwork(name) => self.remove_network(name).await,
            Step::RemoveTag(tag) => self.remove_tag(tag).await,
            Step::RemoveVolume(name) => {
                self.engine.remove_volume(name).await?;
                Ok(Done::now())
            }
            Step::RecordUninstalled => self.record_uninstalled(),
            Step::Purge => {
                self.appliance.purge()?;
                Ok(Done::now())
            }
        }
    }

    /// An uninstall is resumed and never undone.
    async fn undo(&mut self, step: &Step) -> Result<(), ChangeError> {
        use crate::change::plan::Step as _;
        Err(ChangeError::UnknownStep { step: step.id() })
    }
}

impl<E: ContainerEngine> Uninstall<'_, E> {
    async fn remove_container(&self, name: &str) -> Result<Done, ChangeError> {
        let Some(container) = self.engine.container(name).await? else {
            return Ok(Done::already());
        };
        let rule = self.state.as_ref().and_then(|state| {
            let part = container.labels.get(LABEL_PART)?;
            state.stack.service(part).map(|service| &service.stop)
        });
        match rule {
            Some(rule) => stop::stop(self.engine, &container, rule).await?,
            // A killed migration leaves its schema half changed.
            None if is_running_job(&container) => drop(self.engine.wait(name).await?),
            None => {
                let limit = container.stop_timeout.and_then(|s| u64::try_from(s).ok());
                let limit = Duration::from_secs(limit.unwrap_or(DEFAULT_STOP));
                self.engine.stop(name, limit).await?;
            }
        }
        self.engine.remove(name).await?;
        Ok(Done::now())
    }

    async fn remove_network(&self, name: &str) -> Result<Done, ChangeError> {
        let appliance = self.appliance.name();
        if name == (Names { appliance }).edge() {
            Firewall::of(appliance).open()?;
        }
        self.engine.remove_network(name).await?;
        Ok(Done::now())
    }

    async fn remove_tag(&self, tag: &str) -> Result<Done, ChangeError> {
        match self.engine.untag(tag).await {
            Ok(()) => Ok(Done::now()),
            // Another appliance runs on it.
            Err(EngineError::Refused {
                status: Some(409), ..
            }) => Ok(Done::with("kept: other containers use it".to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    fn remove_units(&self, files: &[PathBuf]) -> Result<Done, ChangeError> {
        let manager = Manager::of_this_user();
        let (kept, known) = systemd::remove(manager, files)?;
        self.appliance.write_units(Vec::new())?;
        let mut said = Vec::new();
        if let Some(first) = kept.first() {
            said.push(format!("{} is not lfctl's and stays", first.display()));
        }
        if known {
            let systemctl = manager.systemctl();
            said.push(format!(
                "systemd still knows them: run `{systemctl} daemon-reload`"
            ));
        }
        Ok(if said.is_empty() {
            Done::now()
        } else {
            Done::with(said.join("; "))
        })
    }

    fn record_uninstalled(&mut self) -> Result<Done, ChangeError> {
        let Some(state) = &mut self.state else {
            return Ok(Done::already());
        };
        state.status = Status::Uninstalled;
        state.updated = jiff::Timestamp::now();
        self.appliance.write_state(state)?;
        Ok(Done::now())
    }
}

fn is_running_job(container: &Container) -> bool {
    container.labels.get(LABEL_PART).map(String::as_str) == Some(JOB)
        && container.state == ContainerState::Running
}
