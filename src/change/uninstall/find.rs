//! What there is to remove.

use std::path::PathBuf;

use serde::Serialize;

use crate::appliance::Appliance;
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::{State, Status};
use crate::change::error::ChangeError;
use crate::change::stop;
use crate::engine::{Container, ContainerEngine, LABEL_PART};
use crate::stack::JOB;

/// What an uninstall will remove, or has removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Files of systemd units that lfctl wrote.
    pub units: Vec<PathBuf>,
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
            && self.units.is_empty()
            && (!self.purge || self.volumes.is_empty())
    }
}

/// Finds what belongs to the appliance.
pub async fn find<E: ContainerEngine>(
    engine: &E,
    appliance: &Appliance,
    state: Option<&State>,
    purge: bool,
) -> Result<Removal, ChangeError> {
    let name = appliance.name();
    let mut containers = engine.containers(name).await?;
    let order = state
        .map(|state| stop::order(&state.stack))
        .unwrap_or_default();
    // Engines list in no order, and a plan is the same each time.
    containers.sort_by(|one, other| one.name.cmp(&other.name));
    containers.sort_by_key(|container| rank(&order, container));
    // Appliances from one bundle share images.
    let mut shared = Vec::new();
    for sibling in appliance.siblings()? {
        let state = sibling.state()?.filter(|s| s.status != Status::Uninstalled);
        if let Some(state) = state {
            let images = images(&sibling, &state)?;
            shared.extend(images.into_iter().flat_map(|image| image.tags));
        }
    }
    let mut tags = Vec::new();
    let images = match state {
        Some(state) => images(appliance, state)?,
        None => Vec::new(),
    };
    for image in images {
        for tag in &image.tags {
            let held = engine.image(tag).await?;
            let is_ours = held.is_some_and(|held| held.id == image.id);
            if is_ours && !tags.contains(tag) && !shared.contains(tag) {
                tags.push(tag.clone());
            }
        }
    }
    Ok(Removal {
        containers: containers.into_iter().map(|c| c.name).collect(),
        networks: sorted(engine.networks(name).await?.into_iter().map(|n| n.name)),
        tags,
        volumes: sorted(engine.volumes(name).await?.into_iter().map(|v| v.name)),
        units: appliance.units()?,
        purge,
    })
}

/// The images of all generations on record, those that were only staged
/// included.
fn images(appliance: &Appliance, state: &State) -> Result<Vec<InstalledImage>, ChangeError> {
    let older = appliance.generations()?;
    let generations = std::iter::once(&state.current).chain(&state.previous);
    let all = generations.chain(&older);
    Ok(all
        .flat_map(|generation| generation.images.values().cloned())
        .collect())
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
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
