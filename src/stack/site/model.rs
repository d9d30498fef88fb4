//! What `site.toml` holds.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::origin::Origin;
use crate::stack::secret::Secret;

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
    /// PEM with certificates that web and worker trust beside the public ones.
    pub ca: Option<PathBuf>,
    /// What web and worker may reach outside.
    pub egress: Vec<Egress>,
    /// How old backups and drills may become.
    pub backup: BackupLimits,
    /// Where each key stood, for messages.
    pub(super) lines: BTreeMap<String, usize>,
}

/// How old the last backup and the last drill may become before doctor warns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupLimits {
    /// Days since the last backup.
    pub max_age_days: u16,
    /// Days since the last drill.
    pub max_drill_age_days: u16,
}

impl Default for BackupLimits {
    fn default() -> Self {
        Self {
            max_age_days: 7,
            max_drill_age_days: 90,
        }
    }
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

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// Short name of the entry.
    pub name: String,
    /// Host name or address outside.
    pub host: String,
    /// TCP port there.
    pub port: u16,
    /// Where `host` is, for a site whose resolver does not know it.
    pub address: Option<Ipv4Addr>,
    /// The services that may reach it.
    pub services: Vec<String>,
    /// What for.
    pub purpose: String,
}

impl Egress {
    /// Host name that the services use: nobody can give an address a new
    /// meaning, so the entry's name stands for one.
    pub fn alias(&self) -> &str {
        if self.host.parse::<Ipv4Addr>().is_ok() {
            &self.name
        } else {
            &self.host
        }
    }

    /// Where connections end: `host:port`.
    pub fn target(&self) -> String {
        match self.address {
            Some(address) => format!("{address}:{}", self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}
