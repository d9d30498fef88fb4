//! How a container fits what it is to be.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::bring_up::BringUp;
use super::error::ChangeError;
use super::observed::Fit;
use crate::engine::{
    Container, ContainerEngine, ContainerSpec, ContainerState, EngineError, EngineKind,
    HealthState, LABEL_CONFIG,
};
use crate::facts::existing::Existing;
use crate::facts::here::here;
use crate::langfuse::http::{Client, HttpError};
use crate::render::Rendered;
use crate::stack::Service;

/// Bytes of the largest file that is given to a container.
const FILE_LIMIT: usize = 16 << 20;
/// How long a published port may take to answer at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Whether a container is as this engine would be told to make it now, runs,
/// and is still on its own networks and on no other.
pub(super) fn fits(container: &Container, spec: &ContainerSpec, engine: EngineKind) -> bool {
    let wanted: BTreeSet<_> = spec.networks.iter().map(|(name, _)| name).collect();
    let policy = container.restart_policy.as_deref();
    let comes_back = !spec.restart || policy == Some(engine.restart_policy());
    comes_back
        && container.labels.get(LABEL_CONFIG) == Some(&spec.config_hash)
        && container.state == ContainerState::Running
        && container.addresses.keys().collect::<BTreeSet<_>>() == wanted
}

/// How what runs of a service fits what it is to be.
pub(super) async fn seen<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    existing: &Existing,
    service: &Service,
    rendered: Result<Rendered, ChangeError>,
) -> Result<Fit, ChangeError> {
    match (existing.containers.get(&service.name), rendered) {
        // What is on a network that is made anew is made anew with it.
        (Some(container), Ok(rendered)) if existing.old_networks.is_empty() => {
            Ok(fit(change, container, service, &rendered).await?)
        }
        _ => Ok(Fit::Wrong),
    }
}

/// As [`fits`], with the port that it publishes, and with the files of a
/// service that takes over changed ones.
pub(super) async fn is_as<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    container: &Container,
    service: &Service,
    rendered: &Rendered,
) -> Result<bool, EngineError> {
    if !fits(container, &rendered.spec, change.facts.kind) {
        return Ok(false);
    }
    if refuses(container).await {
        return Ok(false);
    }
    if service.reload.is_none() {
        // They are part of what it was made from.
        return Ok(true);
    }
    for file in &rendered.files {
        let held = read_file(change.engine, &container.name, &file.path).await?;
        if held.as_deref() != Some(file.content.expose().as_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn fit<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    container: &Container,
    service: &Service,
    rendered: &Rendered,
) -> Result<Fit, EngineError> {
    Ok(if !is_as(change, container, service, rendered).await? {
        Fit::Wrong
    } else if container.health == Some(HealthState::Healthy) {
        Fit::Healthy
    } else {
        Fit::Running
    })
}

/// Whether nobody listens where the engine says that it publishes a port:
/// Docker's proxy closes it for good once it ran out of open files, and the
/// container behind it is well all the same.
async fn refuses(container: &Container) -> bool {
    let published = container.ports.values().flatten();
    for address in published.filter_map(|address| address.parse().ok()) {
        let address = here(address);
        let client = Client::of_host(address.ip());
        if let Err(HttpError::Connect { source, .. }) = client.connect(address, CONNECT_LIMIT).await
            && source.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
    }
    false
}

/// A file of a container; `None` where there is none.
async fn read_file<E: ContainerEngine>(
    engine: &E,
    container: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, EngineError> {
    let mut stream = match engine.download(container, path).await {
        Ok(stream) => stream,
        Err(EngineError::Refused {
            status: Some(404), ..
        }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut tar = Vec::new();
    while let Some(piece) = stream.next().await {
        tar.extend_from_slice(&piece?);
        if tar.len() > FILE_LIMIT {
            return Ok(None);
        }
    }
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut content = Vec::new();
    let read = archive
        .entries()
        .and_then(|mut entries| match entries.next() {
            Some(entry) => entry?.read_to_end(&mut content).map(Some),
            None => Ok(None),
        });
    Ok(read.ok().flatten().map(|_| content))
}
