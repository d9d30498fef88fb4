//! Making and removing containers: several requests that count as one.

use std::time::{Duration, Instant};

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters as query;

use super::call::{CHANGE, absent, checked, refused};
use super::own::labelled;
use super::resources::taken;
use super::{Docker, write};
use crate::engine::{ContainerSpec, Containers, EngineError, NetworksAndVolumes};

pub(super) async fn create(docker: &Docker, spec: &ContainerSpec) -> Result<(), EngineError> {
    let action = format!("make container `{}`", spec.name);
    if let Some(found) = docker.inspect(&action, &spec.name).await? {
        return Err(taken("container", &spec.name, &found.labels, &spec.owner));
    }
    require_networks(docker, spec).await?;
    let options = query::CreateContainerOptions {
        name: Some(spec.name.clone()),
        ..query::CreateContainerOptions::default()
    };
    let body = write::container(spec, docker.dialect().await?);
    let request = docker.client.create_container(Some(options), body);
    docker.call(&action, CHANGE, request).await?;
    if let Err(error) = connect_further(docker, spec).await {
        // A container that lacks a network must not be taken for a good
        // one. The first error is the one worth telling.
        let _ = docker.remove(&spec.name).await;
        return Err(error);
    }
    Ok(())
}

pub(super) async fn remove(docker: &Docker, container: &str) -> Result<(), EngineError> {
    let action = format!("remove container `{container}`");
    let Some(found) = docker.inspect(&action, container).await? else {
        return Ok(());
    };
    labelled(&action, &found.labels)?;
    let options = query::RemoveContainerOptions {
        force: true,
        // Only anonymous volumes: ours have names.
        v: true,
        link: false,
    };
    let request = docker.client.remove_container(&found.id, Some(options));
    let removed = absent(docker.call(&action, CHANGE, request).await);
    match removed {
        Err(EngineError::Refused {
            status: Some(409),
            message,
            ..
        }) if message.contains("in progress") => {
            // Somebody else is removing it; done when it is gone.
            let deadline = Instant::now() + CHANGE;
            while docker.inspect(&action, &found.id).await?.is_some() {
                if Instant::now() > deadline {
                    return Err(refused(&action, Some(409), &message));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// Docker connects a container that does not run to a network that does
/// not exist, and complains only when it is started.
async fn require_networks(docker: &Docker, spec: &ContainerSpec) -> Result<(), EngineError> {
    for (network, _) in &spec.networks {
        if docker.network(network).await?.is_none() {
            let action = format!("make container `{}`", spec.name);
            let message = format!("there is no network `{network}`");
            return Err(refused(&action, Some(404), &message));
        }
    }
    Ok(())
}

async fn connect_further(docker: &Docker, spec: &ContainerSpec) -> Result<(), EngineError> {
    for (network, aliases) in spec.networks.iter().skip(1) {
        let action = format!("connect container `{}` to network `{network}`", spec.name);
        let request = NetworkConnectRequest {
            container: spec.name.clone(),
            endpoint_config: Some(write::endpoint(aliases, spec.links.get(network))),
        };
        let network = checked(&action, network)?;
        docker
            .call(
                &action,
                CHANGE,
                docker.client.connect_network(network, request),
            )
            .await?;
    }
    Ok(())
}
