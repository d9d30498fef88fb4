//! Looks at what is there, for the plan and for preflight. Changes nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::InstallError;
use super::plan::{Observed, Record, Standing};
use super::steps::Steps;
use crate::appliance::state::Status;
use crate::check::preflight::DiskNeed;
use crate::engine::{
    Container, ContainerEngine, ContainerSpec, ContainerState, HealthState, LABEL_APPLIANCE,
    LABEL_CONFIG, LoadRoute,
};
use crate::facts::existing::Existing;
use crate::render::{self, Names};
use crate::sys::disk::Disk;
use crate::sys::host::{self, PortState};
use crate::transfer::{load, plan as images};

/// Looks up every name that the appliance wants.
pub async fn existing<E: ContainerEngine>(steps: &Steps<'_, E>) -> Result<Existing, InstallError> {
    let (engine, stack) = (steps.engine, steps.bundle.stack());
    let appliance = steps.appliance.name();
    let names = Names { appliance };
    let mut found = Existing::default();
    let is_ours = |labels: &BTreeMap<String, String>| {
        labels.get(LABEL_APPLIANCE).map(String::as_str) == Some(appliance)
    };
    for service in &stack.services {
        let name = names.container(&service.name);
        match engine.container(&name).await? {
            Some(container) if is_ours(&container.labels) => {
                found.containers.insert(service.name.clone(), container);
            }
            Some(_) => found.foreign.push(format!("container {name}")),
            None => {}
        }
    }
    for spec in render::networks(appliance) {
        let network = engine.network(&spec.name).await?;
        if network
            .as_ref()
            .is_some_and(|network| !is_ours(&network.labels))
        {
            found.foreign.push(format!("network {}", spec.name));
        }
        found.networks.insert(spec.name, network.is_some());
    }
    for (name, _) in render::volumes(stack, appliance) {
        let volume = engine.volume(&name).await?;
        if volume
            .as_ref()
            .is_some_and(|volume| !is_ours(&volume.labels))
        {
            found.foreign.push(format!("volume {name}"));
        }
        found.volumes.insert(name, volume.is_some());
    }
    let job = engine.container(&names.job()).await?;
    if job.is_some_and(|job| !is_ours(&job.labels)) {
        found.foreign.push(format!("container {}", names.job()));
    }
    found.unrecorded = steps.before.is_none() && found.holds_any();
    Ok(found)
}

/// What the plan needs to know.
pub async fn observe<E: ContainerEngine>(
    steps: &Steps<'_, E>,
    existing: &Existing,
) -> Result<Observed, InstallError> {
    let mut images = BTreeMap::new();
    for (key, image) in &steps.images {
        let held = steps.engine.image(&image.id).await?;
        let tag_held = match image.tags.first() {
            Some(tag) => steps
                .engine
                .image(tag)
                .await?
                .is_some_and(|i| i.id == image.id),
            None => false,
        };
        images.insert(key.clone(), held.is_some() && tag_held);
    }
    let mut containers = BTreeMap::new();
    for service in &steps.bundle.stack().services {
        let standing = match (
            existing.containers.get(&service.name),
            steps.render(service),
        ) {
            (Some(container), Ok(rendered)) => standing(container, &rendered.spec),
            _ => Standing::Wrong,
        };
        containers.insert(service.name.clone(), standing);
    }
    let record = match &steps.before {
        Some(state) if state.bundle == steps.bundle.digest() => match state.status {
            Status::Installed => Record::Complete,
            // What was written down before its secrets were is written again.
            Status::Installing if state.fingerprints != steps.fingerprints() => Record::None,
            Status::Installing => Record::Begun,
            Status::Uninstalled => Record::None,
        },
        _ => Record::None,
    };
    Ok(Observed {
        images,
        site_written: on_disk(&steps.appliance.site_path()).as_deref() == Some(steps.site_text),
        secrets_complete: steps.appliance.secrets()?.as_ref() == Some(&steps.secrets),
        networks: existing.networks.clone(),
        volumes: existing.volumes.clone(),
        containers,
        record,
        unfinished: steps.appliance.journal().unfinished()?.is_some(),
    })
}

fn on_disk(path: &Path) -> Option<String> {
    fs_err::read_to_string(path).ok()
}

/// Whether a container is as it would be made now, runs, and nobody has put it
/// on another network since.
pub(super) fn fits(container: &Container, spec: &ContainerSpec) -> bool {
    let is_own = |network: &String| spec.networks.iter().any(|(name, _)| name == network);
    container.labels.get(LABEL_CONFIG) == Some(&spec.config_hash)
        && container.state == ContainerState::Running
        && container.addresses.keys().all(is_own)
}

fn standing(container: &Container, spec: &ContainerSpec) -> Standing {
    if !fits(container, spec) {
        Standing::Wrong
    } else if container.health == Some(HealthState::Healthy) {
        Standing::Healthy
    } else {
        Standing::Running
    }
}

/// What the disks must hold until the install is through.
pub async fn disk_needs<E: ContainerEngine>(
    steps: &Steps<'_, E>,
    observed: &Observed,
) -> Result<Vec<DiskNeed>, InstallError> {
    let held = &observed.images;
    let manifest = steps.bundle.manifest();
    let missing = manifest
        .images
        .iter()
        .filter(|(key, _)| !held.get(*key).copied().unwrap_or(false))
        .map(|(_, image)| image);
    let route = LoadRoute::of(steps.facts);
    let chains = load::chains(steps.engine, route).await?;
    let engine_bytes = images::room(missing, route, &chains);
    // Volumes that exist hold their data already.
    let data = if observed.volumes.values().all(|exists| *exists) {
        0
    } else {
        steps.bundle.stack().requires.data_mib * 1024 * 1024
    };
    let root = &steps.facts.data_root;
    let disk = Disk::of(Path::new(root)).ok();
    Ok(vec![DiskNeed::on(
        disk.as_ref(),
        root,
        "images and data",
        engine_bytes + data,
    )])
}

/// Whether the gateway can listen where the site wants it; `None` when this
/// appliance's own gateway does so already.
pub fn port(
    existing: &Existing,
    gateway: &str,
    listen: SocketAddr,
) -> Result<Option<(SocketAddr, PortState)>, InstallError> {
    // The own gateway goes before its successor comes, on whatever address of
    // that port it listens.
    let suffix = format!(":{}", listen.port());
    let ours = existing.containers.get(gateway).is_some_and(|container| {
        container.state == ContainerState::Running
            && container
                .ports
                .values()
                .flatten()
                .any(|address| address.ends_with(&suffix))
    });
    if ours {
        // Nobody else can have the port, but the address may be none of this
        // host.
        let is_here = listen.ip().is_unspecified() || host::is_local(listen.ip());
        return Ok((!is_here).then_some((listen, PortState::NotLocal)));
    }
    Ok(Some((listen, host::port_free(listen)?)))
}
