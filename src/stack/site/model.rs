//! What `site.toml` holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::origin::Origin;
use crate::stack::secret::Secret;

/// The values a stack definition can refer to as `${site:KEY}`.
pub const SITE_KEYS: &[&str] = &[
    "url",
    "scheme",
    "host",
    "admin-email",
    "admin-name",
    "organization-id",
    "organization-name",
    "project-id",
    "project-name",
    "tls-certificate",
    "tls-key",
];

/// What the operator decided, valid in itself.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// The origin under which people and SDKs reach Langfuse.
    pub url: Origin,
    /// Where the gateway listens on the host.
    pub listen: SocketAddr,
    /// Something in front of the gateway terminates TLS or maps ports.
    pub behind_proxy: bool,
    /// Certificate and key of the gateway.
    pub tls: Option<TlsFiles>,
    /// The first user.
    pub admin: Admin,
    /// The first organization.
    pub organization: Named,
    /// The first project.
    pub project: Named,
    /// Values in place of generated secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Further variables for Langfuse's web.
    pub env_web: BTreeMap<String, Secret>,
    /// Further variables for Langfuse's worker.
    pub env_worker: BTreeMap<String, Secret>,
    /// Where each key stood, for messages.
    pub(super) lines: BTreeMap<String, usize>,
}

/// Files on the host that hold the gateway's certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// PEM, without a passphrase.
    pub key: PathBuf,
}

/// The first user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address to log in with.
    pub email: String,
    /// Name to show.
    pub name: String,
}

/// Something with an id that never changes and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Id in Langfuse's database and addresses.
    pub id: String,
    /// Name to show.
    pub name: String,
}
