//! What the steps of a backup work with.

use jiff::Timestamp;

use super::manifest::Contents;
use super::sink::Sink;
use crate::appliance::Appliance;
use crate::appliance::state::State;
use crate::change::error::ChangeError;
use crate::engine::ContainerEngine;
use crate::render::Names;
use crate::repository::{Repository, RepositoryError, Snapshot, Totals};
use crate::stack::secret::SecretStore;

/// A backup: all that its steps work with.
pub struct Backup<'a, E> {
    pub engine: &'a E,
    pub appliance: &'a Appliance,
    /// What runs.
    pub state: State,
    pub secrets: SecretStore,
    /// Where the snapshot goes; `None` where a run is only taken back.
    pub repository: Option<Repository>,
    /// What was written, once it is.
    pub written: Option<(Snapshot, Totals)>,
    /// The snapshot in the making.
    pub(super) sink: Option<Sink>,
    pub(super) found: Contents,
    pub(super) begun: Timestamp,
}

impl<E> std::fmt::Debug for Backup<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("appliance", &self.appliance.name())
            .finish_non_exhaustive()
    }
}

impl<'a, E: ContainerEngine> Backup<'a, E> {
    /// A backup of what runs.
    pub fn new(
        engine: &'a E,
        appliance: &'a Appliance,
        state: State,
        secrets: SecretStore,
        repository: Option<Repository>,
    ) -> Self {
        Self {
            engine,
            appliance,
            state,
            secrets,
            repository,
            written: None,
            sink: None,
            found: Contents::default(),
            begun: Timestamp::now(),
        }
    }

    /// What the stores held when they were copied.
    pub fn found(&self) -> &Contents {
        &self.found
    }

    /// The engine's name for the container of a service.
    pub(super) fn container(&self, service: &str) -> String {
        let names = Names {
            appliance: self.appliance.name(),
        };
        names.container(service)
    }

    pub(super) fn sink(&self) -> Result<&Sink, ChangeError> {
        self.sink
            .as_ref()
            .ok_or_else(|| RepositoryError::Stopped.into())
    }
}
