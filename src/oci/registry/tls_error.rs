//! What is wrong with a connection with TLS.

use std::error::Error as _;
use std::io;

use rustls::{CertificateError, Error, OtherError};

/// Why a connection with TLS does not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsTrouble {
    /// The other side speaks something else.
    NoTls,
    /// Nobody who is trusted here signed the certificate.
    UnknownAuthority,
    /// The certificate is that of an authority, as `openssl req -x509` makes it.
    Authority,
    /// The certificate is for other names.
    Name(Vec<String>),
    /// The certificate is not valid any more.
    Expired,
    /// The certificate is not valid yet.
    NotYet,
    /// Anything else, in the words of the TLS library.
    Other(String),
}

impl std::fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoTls => "it does not speak TLS",
            Self::UnknownAuthority => "its certificate is signed by an authority not known here",
            Self::Authority => {
                "its certificate signs itself, is that of an authority, and is not known here"
            }
            Self::Name(names) if names.is_empty() => "its certificate names no host",
            Self::Name(names) => {
                return write!(f, "its certificate is for {} only", names.join(", "));
            }
            Self::Expired => "its certificate has expired",
            Self::NotYet => "its certificate is not valid yet",
            Self::Other(problem) => return write!(f, "TLS fails: {problem}"),
        })
    }
}

impl TlsTrouble {
    /// What went wrong, if it was TLS.
    pub(super) fn of(error: &reqwest::Error) -> Option<Self> {
        let mut source = error.source();
        while let Some(cause) = source {
            // An I/O error hides the one it wraps from `source`.
            let mut io = cause.downcast_ref::<io::Error>();
            while let Some(error) = io {
                let inner = error.get_ref();
                if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
                    return Some(Self::from_tls(tls));
                }
                io = inner.and_then(|inner| inner.downcast_ref());
            }
            source = cause.source();
        }
        None
    }

    fn from_tls(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NoTls,
            Error::InvalidCertificate(problem) => match problem {
                // The second: of another authority that has the same name.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownAuthority
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYet
                }
                CertificateError::NotValidForName => Self::Name(Vec::new()),
                CertificateError::NotValidForNameContext { presented, .. } => {
                    Self::Name(presented.clone())
                }
                CertificateError::Other(other) if is_authority(other) => Self::Authority,
                other => Self::Other(other.to_string()),
            },
            other => Self::Other(other.to_string()),
        }
    }
}

/// The library gives this one no name of its own.
pub(super) fn is_authority(error: &OtherError) -> bool {
    error.to_string().contains("CaUsedAsEndEntity")
}
