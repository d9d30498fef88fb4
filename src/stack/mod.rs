//! The stack as data: services, jobs, volumes, networks and how to know that
//! they are well.
//!
//! Everything that differs between Langfuse lines is written in
//! `bundles/*.toml` and travels inside the bundle. This module only names the
//! shapes; it does no I/O and knows no service by name. `validate` finds every
//! reference to nothing, so code behind it may rely on names.

pub mod environment;
pub mod file;
pub mod release;
pub mod secret;
pub mod site;
pub mod template;
pub mod validate;

#[cfg(test)]
mod testing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use template::{Part, Template};

/// Name of the migration job within the appliance.
pub const JOB: &str = "migration";

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

/// How a service ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stop {
    /// Seconds between the first signal and the kill.
    pub timeout_seconds: u64,
    /// The first signal, where the image's own is not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// A signal that ends it at once instead of after a long wait. It cuts
    /// requests in flight, which clients send again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick_signal: Option<String>,
    /// A log line after which nothing is left to do and a kill is safe: a
    /// Langfuse worker drains, says so, and then never exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_when_logged: Option<String>,
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
}

/// A schema whose state is read from the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    /// Whose bookkeeping table it is.
    pub kind: SchemaKind,
    /// The service in which `query` runs.
    pub service: String,
    /// Command to which one SQL statement is appended; it prints rows with
    /// tab-separated columns. Never holds a secret.
    pub query: Vec<String>,
    /// Migrations that the release brings.
    pub count: u32,
    /// Name (Prisma) or version number (golang-migrate) of the last one.
    pub last: String,
}

/// Tools whose bookkeeping lfctl can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaKind {
    /// Prisma's `_prisma_migrations` in Postgres.
    Prisma,
    /// golang-migrate's append-only `schema_migrations` in `ClickHouse`.
    GolangMigrate,
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
