//! What an upgrade needs to know to turn the gateway, or to stand still.

use std::path::Path;

use super::blueprint::Blueprint;
use super::bring_up::BringUp;
use super::error::ChangeError;
use super::fit::fits;
use super::observed::{Gateway, VolumePoint};
use crate::engine::ContainerEngine;
use crate::facts::existing::Existing;
use crate::sys::point;

/// How the gateway that runs can be turned to another web, or closed.
pub(super) fn turnable<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    existing: &Existing,
) -> Result<Option<Gateway>, ChangeError> {
    let (target, Some(previous)) = (&change.target, &change.previous) else {
        return Ok(None);
    };
    let (old, new) = (&previous.stack.langfuse, &target.stack.langfuse);
    let same_parts = (&old.web, &old.gateway) == (&new.web, &new.gateway);
    let inner_ports = old.inner_port.is_some() && old.inner_port == new.inner_port;
    // Containers of a rootless engine can be reached only where they are published.
    if !(same_parts && inner_ports) || change.facts.rootless || !existing.old_networks.is_empty() {
        return Ok(None);
    }
    let as_rendered = |blueprint: &Blueprint, name: &str| -> Result<bool, ChangeError> {
        let rendered = blueprint.render(blueprint.service(name)?, &change.secrets)?;
        let found = existing.containers.get(name);
        let kind = change.facts.kind;
        Ok(found.is_some_and(|found| fits(found, &rendered.spec, kind)))
    };
    let reloads = previous.service(&old.gateway)?.reload.is_some();
    if !reloads || !as_rendered(previous, &old.gateway)? {
        return Ok(None);
    }
    Ok(Some(Gateway {
        stays: as_rendered(target, &new.gateway)?,
        web_fits: as_rendered(previous, &old.web)?,
    }))
}

/// What rollback points of the volumes that are in use take.
pub(super) async fn points<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<Vec<VolumePoint>, ChangeError> {
    let mut points = Vec::new();
    let previous = change.previous.as_ref().filter(|_| change.cold);
    for volume in previous.into_iter().flat_map(|one| &one.stack.volumes) {
        let name = change.names().volume(&volume.name);
        let held = change.engine.volume(&name).await?;
        let directory = held.and_then(|held| held.directory);
        // An engine elsewhere names directories that are not here.
        let reached = directory.filter(|_| !change.facts.rootless);
        let bytes = reached.and_then(|directory| {
            let beside = volume.immutable_beside.as_deref();
            let directory = Path::new(&directory);
            directory
                .is_dir()
                .then(|| point::bytes_to_copy(directory, beside).ok())?
        });
        points.push(VolumePoint {
            volume: volume.name.clone(),
            bytes,
        });
    }
    Ok(points)
}
