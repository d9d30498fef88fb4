//! What can go wrong with a registry, and what may pass by itself.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;

use super::credentials::HelperError;
use crate::oci::digest::{Digest, ParseDigestError};
use crate::oci::image::ImageError;

/// What can go wrong with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The client cannot be set up.
    #[error("cannot set up the registry client")]
    Client(#[source] reqwest::Error),
    /// A file of certificates holds none.
    #[error("no PEM certificate can be read out of the CA file")]
    Authority(#[source] Option<reqwest::Error>),
    /// A request failed for good.
    #[error("cannot get {what} from {registry}")]
    Request {
        /// What was asked for.
        what: String,
        /// Who was asked.
        registry: String,
        /// Why it failed.
        #[source]
        source: Box<RequestError>,
    },
    /// The registry has the image for other platforms only.
    #[error(
        "`{reference}` is not there for {platform}; it is for {}",
        platforms(offered)
    )]
    Platform {
        /// The image.
        reference: String,
        /// The wanted platform.
        platform: String,
        /// Platforms it is there for.
        offered: Vec<String>,
    },
    /// What is there under the name is no image that can be used.
    #[error("image `{reference}` cannot be used")]
    Image {
        /// The image.
        reference: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// The registry answered with other bytes than those asked for.
    #[error("{registry} answered with other content for {what}: wanted {wanted}, got {found}")]
    Content {
        /// What was asked for.
        what: String,
        /// Who was asked.
        registry: String,
        /// The digest asked for.
        wanted: Digest,
        /// The digest of the answer.
        found: Digest,
    },
    /// The registry sent more bytes than announced, or a huge document.
    #[error("{registry} sends more than {limit} bytes for {what}")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// Who was asked.
        registry: String,
        /// The bytes that are accepted.
        limit: u64,
    },
    /// A manifest is named by a digest of another kind than sha256.
    #[error("{what} of {registry} cannot be checked")]
    Digest {
        /// What was to be asked for.
        what: String,
        /// Who names it, or was to be asked.
        registry: String,
        /// The digest.
        #[source]
        source: ParseDigestError,
    },
    /// A document that cannot be read.
    #[error("answer of {registry} for {what} cannot be read")]
    Document {
        /// What was asked for.
        what: String,
        /// Who was asked.
        registry: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

fn platforms(offered: &[String]) -> String {
    match offered {
        [] => "no platform that it names".to_owned(),
        offered => offered.join(", "),
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No answer, or none that HTTP knows.
    #[error(transparent)]
    Http(reqwest::Error),
    /// The address makes no sense.
    #[error("`{0}` is no address")]
    Address(String),
    /// The answer is a refusal.
    #[error("it answers {status}{message}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// What it says, behind a colon; empty when it says nothing.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It wants a login and there is none.
    #[error("it wants a login, and none is known for {0}")]
    NoLogin(String),
    /// It does not take the login.
    #[error("it refuses the login for {0}")]
    Refused(String),
    /// It asks for a kind of login that is not known.
    #[error("it asks for a login of an unknown kind: `{0}`")]
    Challenge(String),
    /// A login was to be sent over a worse connection than the registry's.
    #[error("it sends the login to `{0}`, which has no TLS")]
    Downgrade(String),
    /// The token server does not give a token.
    #[error("its token server `{realm}` gives no token")]
    Token {
        /// The token server.
        realm: String,
        /// Why.
        #[source]
        source: Box<RequestError>,
    },
    /// An answer of the token server that holds no token.
    #[error("the answer is no token")]
    NoToken,
    /// A credential helper failed.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// Fewer bytes than announced.
    #[error("it ends after {sent} of {size} bytes")]
    CutOff {
        /// Bytes that came.
        sent: u64,
        /// Bytes that were announced.
        size: u64,
    },
    /// Another range of the blob than the one asked for.
    #[error("asked for bytes from {wanted} on, it sends `{found}`")]
    Range {
        /// First byte asked for.
        wanted: u64,
        /// What it says it sends.
        found: String,
    },
    /// A document takes longer than any honest one.
    #[error("it does not send a whole document within {} s", .0.as_secs())]
    Slow(Duration),
    /// A blob comes by drops.
    #[error("it sends less than 64 KiB within {} s", .0.as_secs())]
    Trickle(Duration),
    /// A document is larger than any honest one.
    #[error("it sends more than {0} bytes")]
    TooLarge(u64),
}

impl From<reqwest::Error> for RequestError {
    /// Without the address: behind a redirect it may hold a signed query.
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

impl RequestError {
    /// Whether the certificate of the other side is the trouble.
    pub fn is_about_trust(&self) -> bool {
        match self {
            Self::Http(error) => is_about_trust(error),
            Self::Token { source, .. } => source.is_about_trust(),
            _ => false,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => {
                !error.is_builder() && !error.is_redirect() && !is_about_trust(error)
            }
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
            }
            Self::CutOff { .. } | Self::Trickle(_) => true,
            Self::Token { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// How long the registry asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Token { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

/// A certificate that is wrong now will be wrong in a second: the TLS library
/// hands out what it thinks of the other side as invalid data.
fn is_about_trust(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        // An I/O error hides the one it wraps from `source`.
        let mut io = cause.downcast_ref::<io::Error>();
        while let Some(error) = io {
            if error.kind() == io::ErrorKind::InvalidData {
                return true;
            }
            io = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        source = cause.source();
    }
    false
}
