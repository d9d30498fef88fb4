//! What an engine is asked to make.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::model::Resource;
use crate::sys::masked::Masked;

/// Label that names the appliance an object belongs to.
pub const LABEL_APPLIANCE: &str = "io.lfctl.appliance";
/// Label that names the service, volume or network within the appliance.
pub const LABEL_PART: &str = "io.lfctl.part";
/// Label that tells what defines a container (a hash) or a network.
pub const LABEL_CONFIG: &str = "io.lfctl.config";

/// Who made an object and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the appliance.
    pub appliance: String,
    /// Service, volume or network within it.
    pub part: String,
}

impl Owner {
    /// The labels that mark an object as this owner's.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_APPLIANCE.to_owned(), self.appliance.clone()),
            (LABEL_PART.to_owned(), self.part.clone()),
        ])
    }
}

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Name in the engine.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// What its containers reach.
    pub reach: Reach,
    /// Name of its bridge on the host; `None` lets the engine choose. Docker
    /// alone heeds it.
    pub bridge: Option<String>,
}

/// What the containers of a network reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Each other. No route out, and where the engine can do without, no
    /// address of the host, which would be a way to its wildcard services.
    Siblings,
    /// Each other and the host, which publishes their ports. Packets that
    /// leave the host keep an address that nobody outside can answer, where
    /// the engine allows it.
    Published,
    /// Each other, the host, and whatever the host reaches.
    Outside,
}

impl NetworkSpec {
    /// All labels of the network. [`LABEL_CONFIG`] changes with what lfctl asks
    /// an engine for, so that a network made by an older lfctl is told apart.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let config = match self.reach {
            Reach::Siblings => "siblings/1",
            Reach::Published => "published/2",
            Reach::Outside => "outside/1",
        };
        let mut labels = self.owner.labels();
        labels.insert(LABEL_CONFIG.to_owned(), config.to_owned());
        labels
    }

    /// Whether `found` is as it would be made now.
    pub fn fits(&self, found: &Resource) -> bool {
        let wanted = self.labels();
        found.internal == (self.reach == Reach::Siblings)
            && wanted
                .iter()
                .all(|(name, value)| found.labels.get(name) == Some(value))
    }
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name in the engine.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// Image id, never a reference: nobody can move it.
    pub image: String,
    /// See [`crate::stack::Service::user`].
    pub user: Option<String>,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Rendered environment; holds secrets.
    pub env: Masked<BTreeMap<String, String>>,
    /// Networks by name, each with the aliases on it; the first is the one
    /// the container starts in.
    pub networks: Vec<(String, Vec<String>)>,
    /// Further names of other containers that this one alone knows, as
    /// `container:name`, by the network they share.
    pub links: BTreeMap<String, Vec<String>>,
    /// Whom it asks for names that are no sibling's.
    pub resolver: Resolver,
    /// Volumes as engine name and absolute path.
    pub mounts: Vec<(String, String)>,
    /// Paths that live in memory.
    pub tmpfs: Vec<String>,
    /// Host entries as `name:address`.
    pub extra_hosts: Vec<String>,
    /// Options for the resolver, such as `timeout:1`.
    pub dns_options: Vec<String>,
    /// Published ports.
    pub ports: Vec<PortSpec>,
    /// Health check, or `None` to switch the image's own off.
    pub health: Option<HealthSpec>,
    /// First signal on stop.
    pub stop_signal: Option<String>,
    /// Seconds until the kill.
    pub stop_timeout: Option<u64>,
    /// Restart unless stopped by hand.
    pub restart: bool,
    /// Open files limit.
    pub nofile: Option<u64>,
    /// What its processes may do and take; `None` leaves that to the engine.
    pub confinement: Option<ConfinementSpec>,
    /// Hash over everything that defines the container.
    pub config_hash: String,
}

/// Whom a container asks for names that are no sibling's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Nobody.
    Nobody,
    /// The host's own resolver.
    Host,
    /// This address, from inside the container. Docker alone heeds it.
    At(IpAddr),
}

/// What the processes of a container may do and take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfinementSpec {
    /// Capabilities that are left, without `CAP_`.
    pub capabilities: Vec<String>,
    /// Processes and threads at most.
    pub pids: u32,
    /// Bytes of memory at most.
    pub memory: Option<u64>,
    /// The root filesystem is read-only.
    pub read_only: bool,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Address on the host.
    pub host_ip: String,
    pub host_port: u16,
    /// TCP port in the container.
    pub container_port: u16,
}

/// A health check run by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// Command and arguments.
    pub command: Vec<String>,
    /// Time between checks.
    pub interval: Duration,
    /// Time a check may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Time after the start in which failures do not count.
    pub start_period: Duration,
}
