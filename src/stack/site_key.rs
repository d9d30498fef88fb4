//! What of `site.toml` a definition can refer to.

use std::fmt;
use std::str::FromStr;

/// A value of `site.toml`, written `${site:KEY}` in a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the key that it is named for")]
pub enum SiteKey {
    Url,
    Scheme,
    Host,
    AdminEmail,
    AdminName,
    OrganizationId,
    OrganizationName,
    ProjectId,
    ProjectName,
    TlsCertificate,
    TlsKey,
}

impl SiteKey {
    pub const ALL: [Self; 11] = [
        Self::Url,
        Self::Scheme,
        Self::Host,
        Self::AdminEmail,
        Self::AdminName,
        Self::OrganizationId,
        Self::OrganizationName,
        Self::ProjectId,
        Self::ProjectName,
        Self::TlsCertificate,
        Self::TlsKey,
    ];

    /// As a definition writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::AdminEmail => "admin-email",
            Self::AdminName => "admin-name",
            Self::OrganizationId => "organization-id",
            Self::OrganizationName => "organization-name",
            Self::ProjectId => "project-id",
            Self::ProjectName => "project-name",
            Self::TlsCertificate => "tls-certificate",
            Self::TlsKey => "tls-key",
        }
    }
}

impl FromStr for SiteKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|key| key.name() == text).ok_or(())
    }
}

impl fmt::Display for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
