//! The local container engine, behind one trait.
//!
//! Implementations speak to a socket on this host and to nothing else. They
//! never pull: an image is there or it is loaded from a bundle. Every object
//! they make carries the labels of its [`Owner`], and nothing without those
//! labels is ever changed or removed.

pub mod docker;
mod route;
mod target;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use route::LoadRoute;
pub use target::{EngineTarget, ParseTargetError};

/// Label that names the appliance an object belongs to.
pub const LABEL_APPLIANCE: &str = "io.lfctl.appliance";
/// Label that names the service, volume or network within the appliance.
pub const LABEL_PART: &str = "io.lfctl.part";
/// Label that holds a hash over everything that defines a container.
pub const LABEL_CONFIG: &str = "io.lfctl.config";

/// What the engine is and how it stores images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EngineFacts {
    /// Docker or Podman.
    pub kind: EngineKind,
    /// Version of the engine.
    pub version: String,
    /// Version of the API that is spoken.
    pub api_version: String,
    /// Such as `overlay2`; `containerd` stores have names of snapshotters.
    pub storage_driver: String,
    /// Whether images live in a containerd store, where an image id is the
    /// manifest digest and not the config digest.
    pub containerd_store: bool,
    /// Whether the engine runs without root.
    pub rootless: bool,
    /// Where the engine keeps its data, on its own host.
    pub data_root: String,
    /// Such as `linux`.
    pub os: String,
    /// In OCI's words, such as `amd64`.
    pub architecture: String,
    /// CPUs the engine may use.
    pub cpus: u64,
    /// Physical memory in bytes the engine sees.
    pub memory: u64,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Proxies configured in the daemon, which swallow loopback traffic.
    pub proxies: Vec<String>,
    /// Path of the socket.
    pub socket: String,
}

/// Engines that lfctl can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Docker Engine.
    Docker,
    /// Podman's Docker-compatible API.
    Podman,
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        })
    }
}

/// An image the engine holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EngineImage {
    /// The engine's id, with `sha256:` in front.
    pub id: String,
    /// Digests of the inflated layers, with `sha256:` in front.
    pub diff_ids: Vec<String>,
    /// References that point at it.
    pub tags: Vec<String>,
}

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
    /// Without a route out.
    pub internal: bool,
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
    pub env: BTreeMap<String, String>,
    /// Networks by name, each with the aliases on it; the first is the one
    /// the container starts in.
    pub networks: Vec<(String, Vec<String>)>,
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
    /// Hash over everything that defines the container.
    pub config_hash: String,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host.
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

/// A container the engine knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Engine's id.
    pub id: String,
    /// Name without a leading slash.
    pub name: String,
    /// Id of the image it was made from.
    pub image: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub state: ContainerState,
    /// Verdict of its health check, where it has one.
    pub health: Option<HealthState>,
    /// Output of the last health check.
    pub health_output: Option<String>,
    /// How often the engine restarted it.
    pub restarts: u64,
    /// Exit code, once it ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// When it was started last, RFC 3339.
    pub started_at: Option<String>,
    /// Addresses by network name.
    pub addresses: BTreeMap<String, String>,
    /// Published ports as `ip:port` of the host by container port.
    pub ports: BTreeMap<u16, Vec<String>>,
    /// Process id of its first process on the engine's host.
    pub pid: Option<i64>,
    /// Environment as it was given, `NAME=value`; holds secrets.
    #[serde(skip)]
    pub env: Vec<String>,
    /// Host entries it was made with.
    pub extra_hosts: Vec<String>,
    /// Seconds until the kill.
    pub stop_timeout: Option<i64>,
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Runs.
    Running,
    /// Ended and about to be started again.
    Restarting,
    /// Frozen.
    Paused,
    /// Ended.
    Exited,
    /// Anything else the engine reports.
    Other,
}

/// Verdict of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// No verdict yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

/// What a command inside a container printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code.
    pub code: i64,
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
}

/// A network or volume the engine knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resource {
    /// Name in the engine.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// For a network: whether it has no route out.
    pub internal: bool,
}

/// What can go wrong with an engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No socket, or nobody answers on it.
    #[error("no container engine answers on {socket}")]
    Unreachable {
        /// What was tried.
        socket: String,
        /// Why it did not work.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine answered with an error.
    #[error("engine refused to {action}: {message}")]
    Refused {
        /// What was asked for.
        action: String,
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// The engine's words.
        message: String,
    },
    /// The stream of a load ended with an error, although HTTP said 200.
    #[error("engine could not load {what}: {message}")]
    Load {
        /// The image.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// An object of this name exists and is not lfctl's.
    #[error("{kind} `{name}` exists and does not belong to appliance `{appliance}`")]
    Foreign {
        /// `container`, `network` or `volume`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The appliance that wanted the name.
        appliance: String,
    },
    /// A call took longer than it may.
    #[error("engine did not {action} within {} s", limit.as_secs())]
    Timeout {
        /// What was asked for.
        action: String,
        /// How long it was given.
        limit: Duration,
    },
}

/// A load archive on its way to the engine. An error in it aborts the request.
pub type LoadBody = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// Images on their way out of the engine, as one tar.
pub type SaveBody = BoxStream<'static, Result<Bytes, EngineError>>;

/// What lfctl needs of a container engine.
#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait ContainerEngine {
    /// What the engine is.
    async fn facts(&self) -> Result<EngineFacts, EngineError>;

    /// The image behind an id or a reference, if the engine holds it.
    async fn image(&self, reference: &str) -> Result<Option<EngineImage>, EngineError>;
    /// Images with a reference that matches `pattern`, such as
    /// `registry.local/*`. May know fewer than there are: what is not named
    /// here is loaded in full.
    async fn images(&self, pattern: &str) -> Result<Vec<EngineImage>, EngineError> {
        let _ = pattern;
        Ok(Vec::new())
    }
    /// Loads one image archive and reads the engine's answer to its end.
    async fn load(&self, what: &str, body: LoadBody) -> Result<(), EngineError>;
    /// The images behind these references as one tar.
    fn save(&self, references: &[String]) -> Result<SaveBody, EngineError>;
    /// Makes `reference` point at the image `id`.
    async fn tag(&self, id: &str, reference: &str) -> Result<(), EngineError>;
    /// Removes a reference, and the image when it was the last one and no
    /// container uses it. Gone already is not an error.
    async fn untag(&self, reference: &str) -> Result<(), EngineError>;

    /// Networks with this appliance's label.
    async fn networks(&self, appliance: &str) -> Result<Vec<Resource>, EngineError>;
    /// The network of this name, whoever owns it.
    async fn network(&self, name: &str) -> Result<Option<Resource>, EngineError>;
    /// Makes a network.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError>;
    /// Removes a network. Gone already is not an error.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// Volumes with this appliance's label.
    async fn volumes(&self, appliance: &str) -> Result<Vec<Resource>, EngineError>;
    /// The volume of this name, whoever owns it.
    async fn volume(&self, name: &str) -> Result<Option<Resource>, EngineError>;
    /// Makes a volume.
    async fn create_volume(&self, name: &str, owner: &Owner) -> Result<(), EngineError>;
    /// Removes a volume and its data. Gone already is not an error.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// Containers with this appliance's label, running or not.
    async fn containers(&self, appliance: &str) -> Result<Vec<Container>, EngineError>;
    /// The container of this name, whoever owns it.
    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError>;
    /// Makes a container and connects it to its networks; does not start it.
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError>;
    /// Unpacks a tar at `/` of a container that need not run.
    async fn upload(&self, container: &str, tar: Vec<u8>) -> Result<(), EngineError>;
    /// Starts a container. Running already is not an error.
    async fn start(&self, container: &str) -> Result<(), EngineError>;
    /// Stops a container, killing it after `timeout`.
    async fn stop(&self, container: &str, timeout: Duration) -> Result<(), EngineError>;
    /// Sends a signal to a running container.
    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError>;
    /// Removes a container, killing it first. Gone already is not an error.
    async fn remove(&self, container: &str) -> Result<(), EngineError>;
    /// Waits for the end of a container and returns its exit code.
    async fn wait(&self, container: &str) -> Result<i64, EngineError>;
    /// The last `tail` lines of both output streams, since `since` (Unix
    /// seconds) where given.
    async fn logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError>;
    /// Runs a command in a running container and collects what it prints.
    async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutput, EngineError>;
}
