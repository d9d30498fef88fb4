//! Looks at what is there, for the plan and for preflight. Changes nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::bring_up::BringUp;
use super::error::ChangeError;
use super::fit::seen;
use super::observed::{Observed, Record};
use super::release;
use super::turn::{points, turnable};
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::Status;
use crate::engine::{
    ContainerEngine, ContainerState, Images, LABEL_APPLIANCE, LABEL_PART, LoadRoute,
};
use crate::facts::existing::Existing;
use crate::facts::{DiskNeed, image_dir};
use crate::host::firewall::{Firewall, Wall};
use crate::render::{self, Names};
use crate::stack::JOB;
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
    for spec in render::networks(appliance, &change.target.site) {
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
    for name in [names.beside(&stack.langfuse.web), names.job()] {
        let passing = engine.container(&name).await?;
        if passing.is_some_and(|one| !is_ours(&one.labels)) {
            found.foreign.push(format!("container {name}"));
        }
    }
    find_surplus(change, &mut found).await?;
    found.unrecorded = change.before.is_none() && found.holds_any();
    Ok(found)
}

/// Finds what is the appliance's and not wanted any more.
async fn find_surplus<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    found: &mut Existing,
) -> Result<(), ChangeError> {
    let (engine, stack) = (change.engine, &change.target.stack);
    let appliance = change.appliance.name();
    let names = Names { appliance };
    for network in engine.networks(appliance).await? {
        if !found.networks.contains_key(&network.name) {
            found.surplus_networks.insert(network.name);
        }
    }
    for container in engine.containers(appliance).await? {
        if let Some(part) = container.labels.get(LABEL_PART)
            && part != JOB
            && stack.service(part).is_none()
            && container.name == names.container(part)
        {
            found.surplus_services.insert(part.clone());
        }
    }
    Ok(())
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
    let mut first_starts = BTreeMap::new();
    for service in &change.target.stack.services {
        let name = &service.name;
        let rendered = change.target.render(service, &change.secrets);
        let fit = seen(change, existing, service, rendered).await?;
        containers.insert(name.clone(), fit);
        let rendered = change.target.render_first_start(service, &change.secrets);
        let fit = seen(change, existing, service, rendered).await?;
        first_starts.insert(name.clone(), fit);
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
    let points = points(change).await?;
    let kept = points.iter().filter_map(|point| point.bytes).sum();
    let needs = disk_needs(change, &images, &existing.volumes, kept).await?;
    let networks = existing.networks.iter().map(|(name, exists)| {
        let fits = *exists && !existing.old_networks.contains(name);
        (name.clone(), fits)
    });
    let networks: BTreeMap<_, _> = networks.collect();
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
        firewall_closed: is_firewall_closed(change.appliance.name(), &networks)?,
        networks,
        volumes: existing.volumes.clone(),
        containers,
        surplus_services: existing.surplus_services.clone(),
        surplus_networks: existing.surplus_networks.clone(),
        first_starts,
        record,
        gateway: turnable(change, existing)?,
        points,
        is_other_site: change
            .previous
            .as_ref()
            .is_some_and(|previous| previous.site_text != change.target.site_text),
        unfinished: change.appliance.journal().unfinished()?.is_some(),
    })
}

/// Whether nothing is left to do to the host's firewall once `networks` fit.
/// Where it cannot be closed, doctor says so.
///
/// # Errors
///
/// `iptables` cannot be run.
pub fn is_firewall_closed(
    appliance: &str,
    networks: &BTreeMap<String, bool>,
) -> std::io::Result<bool> {
    let is_open = Firewall::of(appliance).wall()? == Wall::Open;
    Ok(!is_open && networks.values().all(|fits| *fits))
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

/// What the disks must hold until the install is through.
async fn disk_needs<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    held: &BTreeMap<String, bool>,
    volumes: &BTreeMap<String, bool>,
    points: u64,
) -> Result<Vec<DiskNeed>, ChangeError> {
    let images = change.bundle.map(|bundle| &bundle.manifest().images);
    let missing = images
        .into_iter()
        .flatten()
        .filter(|(key, _)| !held.get(*key).copied().unwrap_or(false))
        .map(|(_, image)| image);
    let chains = load::chains(change.engine, LoadRoute::of(change.facts)).await?;
    // Volumes that exist hold their data already.
    let data = if volumes.values().all(|exists| *exists) {
        0
    } else {
        change.target.stack.requires.data_mib * 1024 * 1024
    };
    let wanted = [
        (
            "images",
            image_dir(change.facts),
            images::bytes_needed(missing, change.facts, &chains),
        ),
        ("data", PathBuf::from(&change.facts.data_root), data),
        (
            "rollback points",
            PathBuf::from(&change.facts.data_root),
            points,
        ),
        (OWN, change.appliance.dir(), OWN_BYTES),
    ];
    Ok(needs(&wanted, |path| Disk::of(path).ok()))
}

/// What lfctl itself writes: state, journal, secrets, the heads of two bundles
/// and the log.
const OWN: &str = "lfctl's state";
const OWN_BYTES: u64 = 16 * 1024 * 1024;

/// What each filesystem must hold: needs of one filesystem, or of one path
/// that cannot be seen, are one need.
fn needs(wanted: &[(&str, PathBuf, u64)], disk: impl Fn(&Path) -> Option<Disk>) -> Vec<DiskNeed> {
    let mut needs: Vec<(Option<u64>, DiskNeed)> = Vec::new();
    for (purpose, path, bytes) in wanted {
        let (disk, path) = (disk(path), path.display().to_string());
        let device = disk.as_ref().map(|disk| disk.device);
        let same = needs.iter_mut().find(|(other, need)| match device {
            Some(_) => *other == device,
            None => need.path == path,
        });
        match same {
            Some((_, need)) => {
                need.bytes += bytes;
                // Its own bytes are hardly worth a word.
                if *purpose != OWN {
                    need.purpose = format!("{} and {purpose}", need.purpose);
                }
            }
            None => needs.push((device, DiskNeed::on(disk.as_ref(), &path, purpose, *bytes))),
        }
    }
    needs.into_iter().map(|(_, need)| need).collect()
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
    fn needs_of_one_filesystem_are_one_need() {
        let wanted = [
            ("images", PathBuf::from("/images"), 100),
            ("data", PathBuf::from("/data"), 10),
            (OWN, PathBuf::from("/state"), 1),
        ];
        let told = |devices: [Option<u64>; 3]| -> Vec<(String, u64)> {
            let disk = |path: &Path| {
                let at = wanted.iter().position(|(_, one, _)| one == path)?;
                devices[at].map(|device| disk(device, 1 << 30))
            };
            let needs = needs(&wanted, disk).into_iter();
            needs.map(|need| (need.purpose, need.bytes)).collect()
        };
        let need = |purpose: &str, bytes| (purpose.to_owned(), bytes);
        assert_eq!(told([Some(1); 3]), [need("images and data", 111)]);
        let apart = [need("images", 100), need("data", 10), need(OWN, 1)];
        assert_eq!(told([Some(1), Some(2), Some(3)]), apart);
        assert_eq!(told([None; 3]), apart);
        let elsewhere = [need("images", 100), need("data", 11)];
        assert_eq!(told([Some(1), Some(2), Some(2)]), elsewhere);
    }
}
