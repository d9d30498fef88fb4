//! Looks at what is there, for the plan and for preflight. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use super::bring_up::BringUp;
use super::error::ChangeError;
use super::observed::{Fit, Observed, Record};
use super::release;
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::Status;
use crate::engine::{
    Container, ContainerEngine, ContainerSpec, ContainerState, HealthState, Images,
    LABEL_APPLIANCE, LABEL_CONFIG, LoadRoute,
};
use crate::facts::DiskNeed;
use crate::facts::existing::Existing;
use crate::render::{self, Names};
use crate::sys::disk::Disk;
use crate::sys::host::{self, PortState};
use crate::transfer::{load, plan as images};

/// Looks up every name that the appliance wants.
pub async fn existing<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<Existing, ChangeError> {
    let (engine, stack) = (change.engine, &change.target.stack);
    let appliance = change.appliance.name();
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
        if network.as_ref().is_some_and(|network| !spec.fits(network)) {
            found.old_networks.insert(spec.name.clone());
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
    found.unrecorded = change.before.is_none() && found.holds_any();
    Ok(found)
}

/// What the plan needs to know.
pub async fn observe<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    existing: &Existing,
) -> Result<Observed, ChangeError> {
    let mut images = BTreeMap::new();
    for (key, image) in &change.target.images {
        images.insert(key.clone(), is_loaded(change.engine, image).await?);
    }
    let mut containers = BTreeMap::new();
    for service in &change.target.stack.services {
        let fit = match (
            existing.containers.get(&service.name),
            change.target.render(service, &change.secrets),
        ) {
            // What is on a network that is made anew is made anew with it.
            (Some(container), Ok(rendered)) if existing.old_networks.is_empty() => {
                fit(container, &rendered.spec)
            }
            _ => Fit::Wrong,
        };
        containers.insert(service.name.clone(), fit);
    }
    let record = match &change.before {
        Some(state) if state.current.bundle == change.target.bundle => match state.status {
            Status::Installed => Record::Complete,
            // What was written down before its secrets were is written again.
            Status::Installing if state.fingerprints != change.fingerprints() => Record::None,
            Status::Installing => Record::Begun,
            Status::Uninstalled => Record::None,
        },
        _ => Record::None,
    };
    let needs = disk_needs(change, &images, &existing.volumes).await?;
    let networks = existing.networks.iter().map(|(name, exists)| {
        let fits = *exists && !existing.old_networks.contains(name);
        (name.clone(), fits)
    });
    Ok(Observed {
        images,
        needs,
        release_recorded: match change.bundle {
            Some(bundle) => release::is_recorded(change.paths, bundle)?,
            None => true,
        },
        site_written: on_disk(&change.appliance.site_path()).as_deref()
            == Some(change.target.site_text.as_str()),
        secrets_complete: change.appliance.secrets()?.as_ref() == Some(&change.secrets),
        networks: networks.collect(),
        volumes: existing.volumes.clone(),
        containers,
        record,
        unfinished: change.appliance.journal().unfinished()?.is_some(),
    })
}

/// Whether the engine holds an image, and no name that lfctl gives it is left
/// to be given. A name that somebody moved to another image stays there.
async fn is_loaded(engine: &impl Images, image: &InstalledImage) -> Result<bool, ChangeError> {
    if engine.image(&image.id).await?.is_none() {
        return Ok(false);
    }
    for (index, tag) in image.tags.iter().enumerate() {
        let is_own = index == 0;
        match engine.image(tag).await? {
            Some(held) if held.id == image.id || !is_own => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn on_disk(path: &Path) -> Option<String> {
    fs_err::read_to_string(path).ok()
}

/// Whether a container is as it would be made now, runs, and is still on its
/// own networks and on no other.
pub(super) fn fits(container: &Container, spec: &ContainerSpec) -> bool {
    let wanted: BTreeSet<_> = spec.networks.iter().map(|(name, _)| name).collect();
    container.labels.get(LABEL_CONFIG) == Some(&spec.config_hash)
        && container.state == ContainerState::Running
        && container.addresses.keys().collect::<BTreeSet<_>>() == wanted
}

fn fit(container: &Container, spec: &ContainerSpec) -> Fit {
    if !fits(container, spec) {
        Fit::Wrong
    } else if container.health == Some(HealthState::Healthy) {
        Fit::Healthy
    } else {
        Fit::Running
    }
}

/// What the disks must hold until the install is through.
async fn disk_needs<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    held: &BTreeMap<String, bool>,
    volumes: &BTreeMap<String, bool>,
) -> Result<Vec<DiskNeed>, ChangeError> {
    let images = change.bundle.map(|bundle| &bundle.manifest().images);
    let missing = images
        .into_iter()
        .flatten()
        .filter(|(key, _)| !held.get(*key).copied().unwrap_or(false))
        .map(|(_, image)| image);
    let route = LoadRoute::of(change.facts);
    let chains = load::chains(change.engine, route).await?;
    let engine_bytes = images::room(missing, route, &chains);
    // Volumes that exist hold their data already.
    let data = if volumes.values().all(|exists| *exists) {
        0
    } else {
        change.target.stack.requires.data_mib * 1024 * 1024
    };
    let root = &change.facts.data_root;
    let disk = Disk::of(Path::new(root)).ok();
    let dir = change.appliance.dir();
    Ok(needs(
        DiskNeed::on(disk.as_ref(), root, "images and data", engine_bytes + data),
        disk.as_ref(),
        &dir.display().to_string(),
        Disk::of(&dir).ok().as_ref(),
    ))
}

/// What lfctl itself writes: state, journal, secrets, the heads of two bundles
/// and the log.
const OWN_BYTES: u64 = 16 * 1024 * 1024;

/// Adds what lfctl itself writes, to the same need where that is on the same
/// filesystem.
fn needs(
    engine: DiskNeed,
    engine_disk: Option<&Disk>,
    own_dir: &str,
    own_disk: Option<&Disk>,
) -> Vec<DiskNeed> {
    let shared = engine_disk
        .zip(own_disk)
        .is_some_and(|(engine, own)| engine.device == own.device);
    if shared {
        let bytes = engine.bytes + OWN_BYTES;
        return vec![DiskNeed { bytes, ..engine }];
    }
    let own = DiskNeed::on(own_disk, own_dir, "lfctl's state", OWN_BYTES);
    vec![engine, own]
}

/// Whether the gateway can listen where the site wants it; `None` when this
/// appliance's own gateway does so already.
pub fn port(
    existing: &Existing,
    gateway: &str,
    listen: SocketAddr,
) -> Result<Option<(SocketAddr, PortState)>, ChangeError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(device: u64, free: u64) -> Disk {
        Disk {
            path: "/".into(),
            device,
            mount_point: "/".into(),
            fs_type: "ext4".to_owned(),
            total: 1 << 40,
            free,
        }
    }

    #[test]
    fn lfctls_own_filesystem_counts_too() {
        let engine_disk = disk(1, 1 << 30);
        let engine = || DiskNeed::on(Some(&engine_disk), "/docker", "images and data", 100);
        let apart = needs(engine(), Some(&engine_disk), "/state", Some(&disk(2, 0)));
        assert_eq!(apart.len(), 2);
        assert_eq!((apart[1].bytes, apart[1].free), (OWN_BYTES, Some(0)));
        let shared = needs(
            engine(),
            Some(&engine_disk),
            "/state",
            Some(&disk(1, 1 << 30)),
        );
        assert_eq!(shared.len(), 1);
        assert_eq!(shared[0].bytes, 100 + OWN_BYTES);
    }
}
