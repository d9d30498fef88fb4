//! The gateway's certificate and key.

#[cfg(feature = "pull")]
use super::certificate_key;
use super::error::SiteError;
use crate::stack::secret::Secret;

/// Content of the files in [`super::TlsFiles`].
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    pub(super) certificate: String,
    pub(super) key: Secret,
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
            return wrong(
                "certificate of the gateway",
                "is not PEM with `BEGIN CERTIFICATE`",
            );
        }
        if certificate.contains("PRIVATE KEY-----") {
            return wrong(
                "certificate of the gateway",
                "also holds a private key; keep them apart",
            );
        }
        if key.contains("ENCRYPTED") {
            return wrong(
                "key of the gateway",
                "has a passphrase, which nobody can type at boot",
            );
        }
        if !key.contains("PRIVATE KEY-----") {
            return wrong("key of the gateway", "is not PEM with `BEGIN PRIVATE KEY`");
        }
        #[cfg(feature = "pull")]
        if certificate_key::is_mismatched(certificate, key) {
            return wrong("key of the gateway", "is not that of the first certificate");
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
