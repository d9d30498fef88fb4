//! `site.toml`: what the operator decides.
//!
//! Langfuse validates its own settings only after it has migrated, so they are
//! validated here, in full, before any container starts: every problem of a
//! file is reported at once, each with its key, its line, the reason and what
//! to write instead. A `SiteConfig` exists only without problems.

mod origin;
#[cfg(feature = "pull")]
mod pair;
mod read;
mod rules;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use origin::{Origin, Scheme};
pub use template::Answers;

use super::Stack;
use super::secret::{Redactor, Secret, SecretStore};

/// Version of `site.toml` that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

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
    lines: BTreeMap<String, usize>,
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

/// One thing that is wrong with `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, such as `tls.certificate`.
    pub key: String,
    /// Line, counted from 1; `None` for a key that is missing.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
    /// What to write.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "`{}` {}; {}", self.key, self.reason, self.remedy)
    }
}

/// Why a `site.toml` is not usable. Messages never quote secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Not TOML.
    #[error("not valid TOML at line {line}: {message}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Written for a newer lfctl.
    #[error("written for schema {found}, this lfctl reads up to {SCHEMA}")]
    NewerSchema {
        /// The schema of the file.
        found: u32,
    },
    /// Values that cannot work.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// A certificate or key file that the gateway cannot use.
    #[error("{file} of the gateway {reason}")]
    Tls {
        /// `certificate` or `key`.
        file: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Content of the files in [`TlsFiles`].
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    certificate: String,
    key: Secret,
}

impl TlsMaterial {
    /// Takes the content of the certificate and key files.
    ///
    /// # Errors
    ///
    /// [`SiteError::Tls`] when it is not PEM, the key has a passphrase, the key
    /// lies in the certificate file, where everyone may read it, or it is
    /// another certificate's.
    pub fn parse(certificate: &str, key: &str) -> Result<Self, SiteError> {
        let wrong = |file, reason| Err(SiteError::Tls { file, reason });
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            return wrong("certificate", "is not PEM with `BEGIN CERTIFICATE`");
        }
        if certificate.contains("PRIVATE KEY-----") {
            return wrong("certificate", "also holds a private key; keep them apart");
        }
        if key.contains("ENCRYPTED") {
            return wrong("key", "has a passphrase; nobody could type it at boot");
        }
        if !key.contains("PRIVATE KEY-----") {
            return wrong("key", "is not PEM with `BEGIN PRIVATE KEY`");
        }
        #[cfg(feature = "pull")]
        if pair::is_mismatched(certificate, key) {
            return wrong("key", "is not that of the first certificate");
        }
        Ok(Self {
            certificate: with_newline(certificate),
            key: Secret::new(with_newline(key)),
        })
    }
}

fn with_newline(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

impl SiteConfig {
    /// Reads the text of `site.toml` and checks all that does not depend on a
    /// stack definition.
    ///
    /// # Errors
    ///
    /// Every problem at once, see [`SiteError`].
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let (site, problems) = read::read(text)?;
        site.unless(problems)
    }

    /// Reads the text of `site.toml` and checks it in full against the stack
    /// it is meant for.
    ///
    /// # Errors
    ///
    /// Every problem at once, see [`SiteError`].
    pub fn parse_for(text: &str, stack: &Stack) -> Result<Self, SiteError> {
        let (site, mut problems) = read::read(text)?;
        problems.extend(site.problems_with(stack));
        // In the order of the file; what is missing comes last.
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        site.unless(problems)
    }

    /// What `stack` does not allow: overrides that break a secret's rule, and
    /// variables that the stack sets itself.
    pub fn problems_with(&self, stack: &Stack) -> Vec<Problem> {
        rules::against_stack(self, stack)
    }

    /// Finds the appliance's secrets, and the values that the operator gave to
    /// single services, which may be credentials too.
    pub fn redactor(&self, secrets: &SecretStore) -> Redactor {
        // A short value is a setting, and would be found everywhere.
        let given = self.env_web.iter().chain(&self.env_worker);
        let given = given
            .filter(|(_, value)| value.expose().len() >= 8)
            .map(|(name, value)| (name.as_str(), value));
        Redactor::new(secrets.iter().chain(given))
    }

    /// The commented `site.toml` that the wizard writes.
    pub fn template(answers: &Answers) -> String {
        template::write(answers)
    }

    /// The values behind `${site:KEY}`; those of TLS only with `tls`.
    pub fn values(&self, tls: Option<&TlsMaterial>) -> BTreeMap<&'static str, Secret> {
        let mut values = BTreeMap::from([
            ("url", self.url.to_string()),
            ("scheme", self.url.scheme.to_string()),
            ("host", self.url.host.clone()),
            ("admin-email", self.admin.email.clone()),
            ("admin-name", self.admin.name.clone()),
            ("organization-id", self.organization.id.clone()),
            ("organization-name", self.organization.name.clone()),
            ("project-id", self.project.id.clone()),
            ("project-name", self.project.name.clone()),
        ]);
        if let Some(tls) = tls {
            values.insert("tls-certificate", tls.certificate.clone());
            values.insert("tls-key", tls.key.expose().to_owned());
        }
        values
            .into_iter()
            .map(|(key, value)| (key, Secret::new(value)))
            .collect()
    }

    fn unless(self, problems: Vec<Problem>) -> Result<Self, SiteError> {
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(SiteError::Invalid(problems))
        }
    }
}
