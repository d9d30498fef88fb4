//! The stack as data: services, jobs, volumes, networks and how to know that
//! they are well.
//!
//! Everything that differs between Langfuse lines is written in
//! `bundles/*.toml` and travels inside the bundle. This module only names the
//! shapes; it does no I/O and knows no service by name. `validate` finds every
//! reference to nothing, so code behind it may rely on names.

pub mod confinement;
pub mod environment;
pub mod file;
pub mod release;
mod schema;
pub mod secret;
pub mod site;
pub mod site_key;
mod stop;
mod store;
pub mod template;
pub mod validate;

#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use confinement::Confinement;
pub use schema::{Schema, SchemaKind};
pub use stop::{Reload, Stop};
pub use store::Store;
pub use template::{Part, Template};

/// Name of the migration job within the appliance.
pub const JOB: &str = "migration";
/// Name of the container that carries what the site allows out; no definition
/// has it.
pub const EGRESS: &str = "egress";

/// Everything that runs, in the order in which it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stack {
    /// Which of Langfuse's public interfaces the probes speak.
    pub langfuse: Langfuse,
    /// What the host must offer.
    pub requires: Requires,
    /// Secrets generated once per appliance, by name.
    pub secrets: BTreeMap<String, SecretRule>,
    /// Named volumes. Data lives nowhere else.
    pub volumes: Vec<Volume>,
    /// Groups of environment variables that several services share, so that
    /// what must be equal in two services is written once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, BTreeMap<String, Template>>,
    /// The services, in start order within their stage.
    pub services: Vec<Service>,
    /// The job that brings both schemas up to date, run alone.
    pub migration: Job,
    /// How to read each schema after the migration.
    pub schemas: Vec<Schema>,
    /// Where its data lies and how a backup gets at it; empty in a release that
    /// an lfctl without backups made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
    /// Hosts that are known to be called and must fail at once.
    pub call_home: Vec<CallHome>,
}

/// The Langfuse side of the stack, as far as probes need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Langfuse {
    /// The release line.
    pub line: Line,
    /// The version that `/api/public/health` must report.
    pub version: String,
    /// The service that answers Langfuse's web API.
    pub web: String,
    /// The service that consumes the queue.
    pub worker: String,
    /// The service in front of web, the only one on the edge network.
    pub gateway: String,
    /// The gateway's port that speaks plain HTTP inside the stack.
    pub gateway_port: u16,
    /// The gateway's port, never published, that leads to `${next:WEB}` while
    /// the others lead to the web that serves, or are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_port: Option<u16>,
    /// Names of the secrets that hold the initial project's API key pair.
    pub public_key: String,
    /// See `public_key`.
    pub secret_key: String,
}

/// Release lines whose public interfaces differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Langfuse 3: traces are read back by `GET /api/public/traces/{id}`.
    #[serde(rename = "3")]
    V3,
    /// Langfuse 4: read back by `GET /api/public/v2/observations`.
    #[serde(rename = "4")]
    V4,
}

/// What the host must offer, beyond room for the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requires {
    /// Physical memory in MiB below which installing is refused.
    pub memory_mib: u64,
    /// Physical memory in MiB that is recommended.
    pub recommended_memory_mib: u64,
    /// Room in MiB for data, beside the unpacked images.
    pub data_mib: u64,
    /// CPUs that are recommended.
    pub recommended_cpus: u64,
    /// CPU flags as `/proc/cpuinfo` names them; without one, a service dies at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_flags: Vec<String>,
}

/// How a secret is made. Always from letters and digits, since passwords end
/// up in URLs that nobody encodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretRule {
    /// The alphabet.
    #[serde(default)]
    pub kind: SecretKind,
    /// Number of characters after the prefix.
    #[serde(default = "default_secret_length")]
    pub length: usize,
    /// Fixed text in front.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// A change after installing loses data (an encryption key, a salt).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

fn default_secret_length() -> usize {
    40
}

/// Alphabets of generated secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// `A-Z a-z 0-9`.
    #[default]
    Alphanumeric,
    /// `0-9 a-f`.
    Hex,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Volume {
    /// Name within the appliance; the engine sees `<appliance>-<name>`.
    pub name: String,
    /// Files in a directory that holds a file of this name never change in
    /// place, so that a rollback point may link them; it copies all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable_beside: Option<String>,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Datastores: before the migration.
    Data,
    /// Web and worker: after it.
    App,
    /// The gateway: last, so that nobody reaches a half-started stack.
    Edge,
}

/// A long-running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Name within the appliance, and host name on the internal network.
    pub name: String,
    /// Key into the bundle's images.
    pub image: String,
    /// When it starts.
    pub stage: Stage,
    /// `uid:gid`, where the image's own user is not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command. Never holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Names of shared groups in `Stack::env`, merged in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_groups: Vec<String>,
    /// Own environment variables; they win over groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// Variables that the service gets only until it has made what they name,
    /// such as the first user's password.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_start_env: BTreeMap<String, Template>,
    /// Files put into the container before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Mounted volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Paths that live in memory only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// The container's own health check.
    pub health: Health,
    /// How it ends.
    pub stop: Stop,
    /// How it takes over changed files while it runs; without it, its container
    /// is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
    /// The published port; only a service of stage `edge` has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// Call-home hosts resolve to loopback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// Open files limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u64>,
    /// Memory in MiB the service is expected to use, for sizing.
    pub memory_mib: u64,
    /// What its processes may do and take. Definitions from before this key
    /// leave it to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
}

/// A file put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Absolute path in the container.
    pub path: String,
    /// Content, with references.
    pub content: Template,
    /// Permission bits as octal text, such as `0400`.
    pub mode: String,
    /// Owner as `uid:gid`.
    #[serde(default = "root_owner")]
    pub owner: String,
    /// Only under this condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

fn root_owner() -> String {
    "0:0".to_owned()
}

/// What the operator decided, where a definition depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The site has a certificate for the gateway.
    Tls,
    /// The gateway serves plain HTTP.
    PlainHttp,
    /// The gateway leads to web.
    Open,
    /// The gateway answers 503 while the appliance is changed.
    Closed,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mount {
    /// Name in `Stack::volumes`.
    pub volume: String,
    /// Absolute path in the container.
    pub path: String,
}

/// A health check that the engine runs inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Health {
    /// Command and arguments; exit code 0 is healthy. Never holds a secret.
    pub command: Vec<String>,
    /// Seconds between checks.
    #[serde(default = "default_interval")]
    pub interval_seconds: u64,
    /// Seconds a check may take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// Failures in a row that make it unhealthy.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Seconds after the start in which failures do not count.
    #[serde(default = "default_start_period")]
    pub start_period_seconds: u64,
    /// Seconds lfctl waits for it to become healthy.
    #[serde(default = "default_wait")]
    pub wait_seconds: u64,
}

fn default_interval() -> u64 {
    5
}
fn default_timeout() -> u64 {
    5
}
fn default_retries() -> u32 {
    10
}
fn default_start_period() -> u64 {
    5
}
fn default_wait() -> u64 {
    180
}

/// The published port of the gateway. Where on the host is the site's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publish {
    /// Port in the container when the site has no certificate.
    pub http: u16,
    /// Port in the container when it has one.
    pub https: u16,
}

/// A container that runs to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// Key into the bundle's images.
    pub image: String,
    /// The command behind the image's entrypoint.
    pub command: Vec<String>,
    /// Names of shared groups in `Stack::env`, merged in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_groups: Vec<String>,
    /// Own environment variables; they win over groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// See [`Service::confinement`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
}

/// A host that something in the stack is known to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CallHome {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What the call is for, in the operator's words.
    pub purpose: String,
}

impl Stack {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The services of one stage, in start order.
    pub fn stage(&self, stage: Stage) -> impl Iterator<Item = &Service> {
        self.services
            .iter()
            .filter(move |service| service.stage == stage)
    }
}
