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
mod image;
mod make;
mod raw;
mod read;
mod stream;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters as query;

use self::call::{CHANGE, READ, absent, checked, refused};
use super::{
    Container, ContainerEngine, ContainerSpec, EngineError, EngineFacts, EngineImage, EngineKind,
    EngineTarget, ExecOutput, LABEL_APPLIANCE, LoadBody, NetworkSpec, Owner, Resource, SaveBody,
};

/// What a stop may take beyond the time the container is given.
const STOP_GRACE: Duration = Duration::from_secs(60);

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

/// Judges an object that has a name somebody wants to use.
fn taken(
    kind: &'static str,
    name: &str,
    labels: &BTreeMap<String, String>,
    owner: &Owner,
) -> EngineError {
    if labels.get(LABEL_APPLIANCE) == Some(&owner.appliance) {
        refused(
            &format!("make {kind} `{name}`"),
            Some(409),
            "it exists already",
        )
    } else {
        EngineError::Foreign {
            kind,
            name: name.to_owned(),
            appliance: owner.appliance.clone(),
        }
    }
}

fn of_appliance(appliance: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([(
        "label".to_owned(),
        vec![format!("{LABEL_APPLIANCE}={appliance}")],
    )])
}

impl ContainerEngine for Docker {
    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let action = "describe itself";
        let version = self.call(action, READ, self.client.version()).await?;
        let info = self.call(action, READ, self.client.info()).await?;
        Ok(read::facts(version, info, &self.socket))
    }

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

    async fn networks(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let options = query::ListNetworksOptions {
            filters: Some(of_appliance(appliance)),
        };
        let found = self
            .call(
                "list networks",
                READ,
                self.client.list_networks(Some(options)),
            )
            .await?;
        Ok(found
            .into_iter()
            .map(|network| read::resource(network.name, network.labels, network.internal))
            .collect())
    }

    async fn network(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        let action = format!("show network `{name}`");
        let name = checked(&action, name)?;
        let found = self
            .find(&action, self.client.inspect_network(name, None))
            .await?;
        Ok(found
            .map(|network| read::resource(network.name, network.labels, network.internal))
            .filter(|network| network.name == name))
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let action = format!("make network `{}`", spec.name);
        // Old engines make a second network of the same name without a word.
        if let Some(found) = self.network(&spec.name).await? {
            return Err(taken("network", &spec.name, &found.labels, &spec.owner));
        }
        let request = self.client.create_network(write::network(spec));
        self.call(&action, CHANGE, request).await?;
        Ok(())
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let action = format!("remove network `{name}`");
        let Some(found) = self.network(name).await? else {
            return Ok(());
        };
        labelled(&action, &found.labels)?;
        let request = self.client.remove_network(name);
        absent(self.call(&action, CHANGE, request).await)?;
        Ok(())
    }

    async fn volumes(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let options = query::ListVolumesOptions {
            filters: Some(of_appliance(appliance)),
        };
        let found = self
            .call(
                "list volumes",
                READ,
                self.client.list_volumes(Some(options)),
            )
            .await?;
        Ok(found
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| read::resource(Some(volume.name), Some(volume.labels), None))
            .collect())
    }

    async fn volume(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        let action = format!("show volume `{name}`");
        let name = checked(&action, name)?;
        let found = self.find(&action, self.client.inspect_volume(name)).await?;
        Ok(found.map(|volume| read::resource(Some(volume.name), Some(volume.labels), None)))
    }

    async fn create_volume(&self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        let action = format!("make volume `{name}`");
        // Engines answer with the old volume, data and all, as if it were new.
        if let Some(found) = self.volume(name).await? {
            return Err(taken("volume", name, &found.labels, owner));
        }
        let request = self.client.create_volume(write::volume(name, owner));
        self.call(&action, CHANGE, request).await?;
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let action = format!("remove volume `{name}`");
        let Some(found) = self.volume(name).await? else {
            return Ok(());
        };
        labelled(&action, &found.labels)?;
        let request = self
            .client
            .remove_volume(name, None::<query::RemoveVolumeOptions>);
        absent(self.call(&action, CHANGE, request).await)?;
        Ok(())
    }

    async fn containers(&self, appliance: &str) -> Result<Vec<Container>, EngineError> {
        let label = format!("{LABEL_APPLIANCE}={appliance}");
        let mut containers = Vec::new();
        for id in raw::container_ids(self, "list containers", &label).await? {
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

    async fn wait(&self, container: &str) -> Result<i64, EngineError> {
        stream::wait(self, container).await
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_foreign_or_a_conflict() {
        let owner = Owner {
            appliance: "a".to_owned(),
            part: "web".to_owned(),
        };
        let own = taken("volume", "v", &owner.labels(), &owner);
        assert!(matches!(
            own,
            EngineError::Refused {
                status: Some(409),
                ..
            }
        ));
        let foreign = taken("volume", "v", &BTreeMap::new(), &owner);
        assert!(matches!(foreign, EngineError::Foreign { .. }));
    }
}
