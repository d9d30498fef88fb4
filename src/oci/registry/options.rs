//! How to reach registries.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Credentials;
use super::mirror::Mirror;

/// How to reach registries. A proxy is taken from `HTTP_PROXY`, `HTTPS_PROXY`
/// and `NO_PROXY`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Registries to be asked instead.
    pub mirrors: Vec<Mirror>,
    /// HTTP without TLS: to the mirrors, or, where none is named, to every
    /// registry.
    pub plain_http: bool,
    /// Logins.
    pub credentials: Credentials,
    /// Certificates that are trusted besides those of this host.
    pub authorities: Vec<CertificateFile>,
    /// How long to wait and how often to try again.
    pub limits: RequestLimits,
}

/// A file of certificates, as PEM or one of them as DER.
#[derive(Debug, Clone)]
pub struct CertificateFile {
    /// Its path.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

/// Retry and timeout limits.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// Tries without any progress before giving up.
    pub attempts: u32,
    /// Wait before the second try; doubles each time, more or less.
    pub backoff: Duration,
    /// The longest wait that a registry may ask for.
    pub longest_wait: Duration,
    /// For a connection.
    pub connect: Duration,
    /// Without a single byte.
    pub silence: Duration,
    /// For a manifest or a config, which has a few KiB.
    pub document: Duration,
    /// For 64 KiB of a blob.
    pub trickle: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(60),
            document: Duration::from_secs(60),
            trickle: Duration::from_secs(300),
        }
    }
}
