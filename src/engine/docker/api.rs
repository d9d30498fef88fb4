//! The engine traits: each call is handed to the module that makes it.

use std::time::Duration;

use super::call::refused;
use super::seal::Dialect;
use super::{Docker, image, raw, read, stream, transfer};
use crate::engine::{
    ContainerEngine, EngineError, EngineFacts, EngineImage, EngineKind, ExecAndLogs, ExecOutput,
    Images, LoadBody, SaveBody,
};

/// Podman's own interface has its version in every path.
const LIBPOD_INFO: &str = "/v4.0.0/libpod/info";

impl Docker {
    pub(super) async fn dialect(&self) -> Result<Dialect, EngineError> {
        Ok(Dialect::of(&self.facts().await?))
    }
}

impl ContainerEngine for Docker {
    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let action = "describe itself";
        let absent = || refused(action, Some(404), "it does not know the question");
        let version = raw::get(self, action, "/version").await?;
        let info = raw::get(self, action, "/info").await?;
        let libpod = match self.kind {
            EngineKind::Docker => None,
            EngineKind::Podman => raw::get(self, action, LIBPOD_INFO).await?,
        };
        Ok(read::facts(
            &version.ok_or_else(absent)?,
            &info.ok_or_else(absent)?,
            &libpod.unwrap_or_default(),
            &self.socket,
        ))
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
        stream::logs(self, container, tail, since, false).await
    }

    async fn timed_logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError> {
        stream::logs(self, container, tail, since, true).await
    }

    async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutput, EngineError> {
        stream::exec(self, container, command, limit).await
    }

    async fn run(
        &self,
        container: &str,
        command: &[String],
        input: Option<LoadBody>,
    ) -> Result<SaveBody, EngineError> {
        transfer::run(self, container, command, input).await
    }
}
