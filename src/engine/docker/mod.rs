//! Docker, and Podman through its Docker-compatible API.
//!
//! Thin I/O: what goes out is made by `write`, what comes back is read by
//! `read`, both pure. Every call has a time limit of its own; the client's is
//! switched off, because a stop or a migration takes longer than any default.
//!
//! Objects without lfctl's label are never changed or removed, whatever name
//! the caller gives.

mod call;
mod connect;
mod containers;
mod image;
mod make;
mod raw;
mod read;
mod resources;
mod seal;
mod stream;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use self::call::{READ, checked, refused};
use super::{
    Container, ContainerEngine, EngineError, EngineFacts, EngineImage, EngineKind, EngineTarget,
    ExecAndLogs, ExecOutput, Images, LABEL_APPLIANCE, LoadBody, SaveBody,
};

/// A connection to an engine's socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    client: bollard::Docker,
    socket: PathBuf,
    kind: EngineKind,
}

impl Docker {
    /// Connects to the first socket of `target` that answers.
    ///
    /// Fails with [`EngineError::Unreachable`], which lists what was tried
    /// and why each did not work.
    pub async fn connect(target: &EngineTarget) -> Result<Self, EngineError> {
        connect::connect(target).await
    }

    /// The first socket of `target`, whether or not anybody answers there: what
    /// is asked of it says why not.
    ///
    /// # Errors
    ///
    /// `target` is no engine of this host.
    pub fn unanswered(target: &EngineTarget) -> Result<Self, EngineError> {
        connect::unanswered(target)
    }

    /// Docker or Podman.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    async fn dialect(&self) -> Result<seal::Dialect, EngineError> {
        Ok(seal::Dialect::of(&self.facts().await?))
    }

    async fn inspect(&self, action: &str, name: &str) -> Result<Option<Container>, EngineError> {
        let name = checked(action, name)?;
        let found = match raw::container(self, action, name).await? {
            Some(json) => {
                let container = read::container_json(json)
                    .map_err(|error| refused(action, None, &error.to_string()))?;
                Some(container)
            }
            None => None,
        };
        // The engine also takes a beginning of an id for a name.
        Ok(found.filter(|container| container.name == name || container.id == name))
    }

    /// Fails unless the container is there and carries lfctl's label.
    async fn own(&self, action: &str, name: &str) -> Result<(), EngineError> {
        match self.inspect(action, name).await? {
            Some(container) => labelled(action, &container.labels),
            None => Err(refused(action, Some(404), "no such container")),
        }
    }
}

/// Refuses an object that lfctl did not make.
fn labelled(action: &str, labels: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if labels.contains_key(LABEL_APPLIANCE) {
        Ok(())
    } else {
        Err(refused(action, None, "it is not lfctl's"))
    }
}

impl ContainerEngine for Docker {
    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let action = "describe itself";
        let version = self.call(action, READ, self.client.version()).await?;
        let info = self.call(action, READ, self.client.info()).await?;
        Ok(read::facts(version, info, &self.socket))
    }
}

impl Images for Docker {
    async fn image(&self, reference: &str) -> Result<Option<EngineImage>, EngineError> {
        image::image(self, reference).await
    }

    async fn images(&self, pattern: &str) -> Result<Vec<EngineImage>, EngineError> {
        image::images(self, pattern).await
    }

    async fn load(&self, what: &str, body: LoadBody) -> Result<(), EngineError> {
        stream::load(self, what, body).await
    }

    fn save(&self, references: &[String]) -> Result<SaveBody, EngineError> {
        stream::save(self, references)
    }

    async fn tag(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        image::tag(self, id, reference).await
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        image::untag(self, reference).await
    }
}

impl ExecAndLogs for Docker {
    async fn logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError> {
        stream::logs(self, container, tail, since).await
    }

    async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutput, EngineError> {
        stream::exec(self, container, command, limit).await
    }
}
