//! Containers, from making to removing.

use std::time::Duration;

use bollard::query_parameters as query;

use super::call::{CHANGE, checked};
use super::{Docker, make, raw, read, stream, transfer};
use crate::engine::{
    Container, ContainerSpec, Containers, EngineError, LABEL_APPLIANCE, LoadBody, SaveBody,
};

/// What a stop may take beyond the time the container is given.
const STOP_GRACE: Duration = Duration::from_secs(60);

impl Containers for Docker {
    async fn containers(&self, appliance: &str) -> Result<Vec<Container>, EngineError> {
        let path = format!(
            "/containers/json?all=true&{}",
            raw::filter("label", &format!("{LABEL_APPLIANCE}={appliance}"))
        );
        let listed = raw::get(self, "list containers", &path).await?;
        let mut containers = Vec::new();
        for id in listed.iter().flat_map(read::ids) {
            // One that went away in between is no container any more.
            containers.extend(self.inspect("show a container", &id).await?);
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        self.inspect(&format!("show container `{name}`"), name)
            .await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        make::create(self, spec).await
    }

    async fn upload(&self, container: &str, tar: Vec<u8>) -> Result<(), EngineError> {
        let action = format!("put files into container `{container}`");
        self.own(&action, container).await?;
        let options = query::UploadToContainerOptions {
            path: "/".to_owned(),
            no_overwrite_dir_non_dir: Some("true".to_owned()),
            // Not copy_uidgid: that would give every file to the container's
            // user, whatever the tar says.
            copy_uidgid: None,
        };
        let body = bollard::body_full(tar.into());
        let request = self
            .client
            .upload_to_container(container, Some(options), body);
        self.call(&action, CHANGE, request).await
    }

    async fn download(&self, container: &str, path: &str) -> Result<SaveBody, EngineError> {
        transfer::download(self, container, path).await
    }

    async fn unpack(&self, container: &str, path: &str, tar: LoadBody) -> Result<(), EngineError> {
        transfer::unpack(self, container, path, tar).await
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        let action = format!("start container `{container}`");
        self.own(&action, container).await?;
        let request = self.client.start_container(container, None);
        self.call(&action, CHANGE, request).await
    }

    async fn stop(&self, container: &str, timeout: Duration) -> Result<(), EngineError> {
        let action = format!("stop container `{container}`");
        self.own(&action, container).await?;
        let options = query::StopContainerOptions {
            signal: None,
            t: Some(i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX)),
        };
        let request = self.client.stop_container(container, Some(options));
        self.call(&action, timeout.saturating_add(STOP_GRACE), request)
            .await
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let action = format!("send {signal} to container `{container}`");
        self.own(&action, container).await?;
        let options = query::KillContainerOptions {
            signal: signal.to_owned(),
        };
        let request = self.client.kill_container(container, Some(options));
        self.call(&action, CHANGE, request).await
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        make::remove(self, container).await
    }

    async fn rename(&self, container: &str, name: &str) -> Result<(), EngineError> {
        let action = format!("rename container `{container}` to `{name}`");
        self.own(&action, container).await?;
        let options = query::RenameContainerOptions {
            name: checked(&action, name)?.to_owned(),
        };
        let request = self.client.rename_container(container, options);
        self.call(&action, CHANGE, request).await
    }

    async fn wait(&self, container: &str) -> Result<i64, EngineError> {
        stream::wait(self, container).await
    }
}
