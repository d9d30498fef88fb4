//! Certificates of authorities that only the site knows.

use super::error::SiteError;

/// Content of the file that `ca.bundle` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle(String);

impl CaBundle {
    /// Takes the content of the file.
    ///
    /// # Errors
    ///
    /// [`SiteError::Tls`] when it holds no certificate in PEM, or a private key.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let wrong = |reason| {
            Err(SiteError::Tls {
                file: "CA bundle",
                reason,
            })
        };
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return wrong("is not PEM with `BEGIN CERTIFICATE`");
        }
        if text.contains("PRIVATE KEY-----") {
            return wrong("also holds a private key, which no service needs");
        }
        Ok(Self(format!("{}\n", text.trim_end())))
    }

    /// The certificates in PEM.
    pub fn as_pem(&self) -> &str {
        &self.0
    }
}
