//! What the engine holds under the names that an appliance wants.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Container;

/// What exists under the names that the appliance wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// Containers by service.
    pub containers: BTreeMap<String, Container>,
    /// Objects that are not the appliance's, as `kind name`.
    pub foreign: Vec<String>,
    /// Networks by engine name, and whether each exists.
    pub networks: BTreeMap<String, bool>,
    /// Those of them that are made otherwise now.
    pub old_networks: BTreeSet<String>,
    /// Services that have a container and are not wanted any more.
    pub surplus_services: BTreeSet<String>,
    /// Networks that are not wanted any more, by engine name.
    pub surplus_networks: BTreeSet<String>,
    /// Volumes by engine name, and whether each exists.
    pub volumes: BTreeMap<String, bool>,
    /// Objects carry the appliance's label, and nothing is recorded of it.
    pub unrecorded: bool,
}

impl Existing {
    /// Whether anything of the appliance exists.
    pub fn holds_any(&self) -> bool {
        !self.containers.is_empty()
            || self.networks.values().any(|exists| *exists)
            || self.holds_data()
    }

    /// Whether any of its volumes exists.
    pub fn holds_data(&self) -> bool {
        self.volumes.values().any(|exists| *exists)
    }
}
