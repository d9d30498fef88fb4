//! What the processes of a container may do and take.

use serde::{Deserialize, Serialize};

/// Capabilities that a definition may leave to a container: those with which an
/// image takes over its own files and steps down from root.
pub const CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
];

/// What the processes of a container may do and take. New privileges are
/// refused in every container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Confinement {
    /// Capabilities that are left, out of [`CAPABILITIES`]; all others are dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Processes and threads at most.
    pub pids: u32,
    /// Memory in MiB at most. Without it a service may take what the host has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_mib: Option<u64>,
    /// The root filesystem is read-only. Not together with files: an engine
    /// puts none into such a container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What a server opens any port and steps down from root with.
const OF_ROOT: [&str; 5] = ["CHOWN", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];

impl Confinement {
    /// The same for a server that starts as root.
    #[must_use]
    pub fn of_root(&self) -> Self {
        Self {
            capabilities: OF_ROOT.map(str::to_owned).to_vec(),
            ..self.clone()
        }
    }
}
