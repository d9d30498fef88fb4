//! Taking an appliance off a host: containers, networks and images go;
//! volumes and secrets stay unless the operator says `--purge`.
//!
//! Only objects with the appliance's label are touched, and only image tags
//! that still point at the images lfctl loaded.

use std::time::Duration;

use serde::Serialize;

use super::stop;
use crate::appliance::Appliance;
use crate::appliance::state::{State, Status};
use crate::change::InstallError;
use crate::engine::{Container, ContainerEngine, ContainerState, EngineError, LABEL_PART};
use crate::report::event::{Outcome, Reporter, Step};
use crate::stack::JOB;

/// Seconds a container gets of which nothing is recorded.
const DEFAULT_STOP: u64 = 120;

/// What an uninstall will remove, or has removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removal {
    /// Containers by name, in the order in which they end.
    pub containers: Vec<String>,
    /// Networks by name.
    pub networks: Vec<String>,
    /// Image tags.
    pub tags: Vec<String>,
    /// Volumes by name; they hold all data.
    pub volumes: Vec<String>,
    /// Whether volumes, secrets and configuration go too.
    pub purge: bool,
}

impl Removal {
    /// Whether the engine holds anything of the appliance.
    pub fn has_objects(&self) -> bool {
        !(self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty())
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
            && self.networks.is_empty()
            && self.tags.is_empty()
            && (!self.purge || self.volumes.is_empty())
    }
}

/// Finds what belongs to the appliance.
pub async fn find<E: ContainerEngine>(
    engine: &E,
    appliance: &Appliance,
    state: Option<&State>,
    purge: bool,
) -> Result<Removal, InstallError> {
    let name = appliance.name();
    let mut containers = engine.containers(name).await?;
    let order = state
        .map(|state| stop::order(&state.stack))
        .unwrap_or_default();
    containers.sort_by_key(|container| rank(&order, container));
    // Appliances from one bundle share images.
    let mut shared = Vec::new();
    for sibling in appliance.siblings()? {
        let images = sibling.state()?.filter(|s| s.status != Status::Uninstalled);
        shared.extend(
            images
                .into_iter()
                .flat_map(|s| s.images.into_values())
                .flat_map(|i| i.tags),
        );
    }
    let mut tags = Vec::new();
    for image in state.iter().flat_map(|state| state.images.values()) {
        for tag in &image.tags {
            let held = engine.image(tag).await?;
            let is_ours = held.is_some_and(|held| held.id == image.id);
            if is_ours && !tags.contains(tag) && !shared.contains(tag) {
                tags.push(tag.clone());
            }
        }
    }
    Ok(Removal {
        containers: names(containers.into_iter().map(|c| c.name)),
        networks: names(engine.networks(name).await?.into_iter().map(|n| n.name)),
        tags,
        volumes: names(engine.volumes(name).await?.into_iter().map(|v| v.name)),
        purge,
    })
}

fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect()
}

fn rank(order: &[&str], container: &Container) -> usize {
    let part = container.labels.get(LABEL_PART).map_or("", String::as_str);
    // The migration job comes first: its databases go later.
    if part == JOB {
        return 0;
    }
    order
        .iter()
        .position(|name| *name == part)
        .map_or(order.len() + 1, |position| position + 1)
}

fn is_job(container: &Container) -> bool {
    container.labels.get(LABEL_PART).map(String::as_str) == Some(JOB)
        && container.state == ContainerState::Running
}

/// Removes what [`find`] found.
pub async fn remove<E: ContainerEngine>(
    engine: &E,
    appliance: &Appliance,
    state: Option<State>,
    removal: &Removal,
    reporter: &dyn Reporter,
) -> Result<(), InstallError> {
    for name in &removal.containers {
        let step = Step::start(
            reporter,
            &format!("remove:{name}"),
            &format!("remove {name}"),
        );
        if let Some(container) = engine.container(name).await? {
            let rule = state.as_ref().and_then(|state| {
                let part = container.labels.get(LABEL_PART)?;
                state.stack.service(part).map(|service| &service.stop)
            });
            match rule {
                Some(rule) => stop::stop(engine, &container, rule).await?,
                // A killed migration leaves its schema half changed.
                None if is_job(&container) => drop(engine.wait(name).await?),
                None => {
                    let limit = container.stop_timeout.and_then(|s| u64::try_from(s).ok());
                    let limit = Duration::from_secs(limit.unwrap_or(DEFAULT_STOP));
                    engine.stop(name, limit).await?;
                }
            }
            engine.remove(name).await?;
        }
        step.finish(Outcome::Done, None);
    }
    let step = Step::start(reporter, "remove:networks", "remove networks");
    for name in &removal.networks {
        engine.remove_network(name).await?;
    }
    step.finish(Outcome::Done, None);
    let step = Step::start(reporter, "remove:images", "remove images");
    let mut kept = 0;
    for tag in &removal.tags {
        match engine.untag(tag).await {
            Ok(()) => {}
            // Another appliance runs on it.
            Err(EngineError::Refused {
                status: Some(409), ..
            }) => kept += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let detail = (kept > 0).then(|| format!("{kept} kept: other containers use them"));
    step.finish(Outcome::Done, detail);
    if removal.purge {
        let step = Step::start(
            reporter,
            "purge",
            "remove volumes, secrets and configuration",
        );
        for name in &removal.volumes {
            engine.remove_volume(name).await?;
        }
        appliance.purge()?;
        step.finish(Outcome::Done, None);
    } else if let Some(mut state) = state {
        state.status = Status::Uninstalled;
        state.updated = jiff::Timestamp::now();
        appliance.write_state(&state)?;
    }
    Ok(())
}
