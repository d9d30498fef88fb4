//! What an engine says of itself and of what it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::sys::masked::Masked;

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
    /// Socket of the containerd that keeps the images, where the engine says
    /// so.
    pub containerd: Option<String>,
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

impl EngineFacts {
    /// The ids under which this engine may hold an image, the usual one first:
    /// Docker's classic store and Podman name it by its config, a containerd
    /// store by its manifest, and what it took over by its config.
    pub fn image_ids(&self, manifest: Digest, config: Digest) -> Vec<Digest> {
        if self.containerd_store {
            vec![manifest, config]
        } else {
            vec![config]
        }
    }
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

impl EngineKind {
    /// The restart policy of what must come back after a reboot. Of all that
    /// there are, Podman's restart service heeds only `always`.
    pub fn restart_policy(self) -> &'static str {
        match self {
            Self::Docker => "unless-stopped",
            Self::Podman => "always",
        }
    }
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
    /// When the engine starts it again, in the engine's words, such as
    /// `always`.
    pub restart_policy: Option<String>,
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
    pub env: Masked<Vec<String>>,
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
    /// For a volume: its directory on the engine's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}
