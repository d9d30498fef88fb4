//! What can go wrong with a registry, and what may pass by itself.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;

use super::tls_error::TlsTrouble;
use crate::oci::digest::{Digest, ParseDigestError};
use crate::oci::image::ImageError;

/// What can go wrong with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The client cannot be set up.
    #[error("cannot set up the registry client")]
    Client(#[source] reqwest::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// A file of certificates holds none.
    #[error("no certificate can be read out of `{}`", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, where it is not just empty of them.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
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
        #[source]
        source: Box<ImageError>,
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
    /// A connection with TLS does not come about.
    #[error("{0}")]
    Tls(TlsTrouble),
    /// The address makes no sense.
    #[error("`{0}` is not an address")]
    Address(String),
    /// The answer is a refusal.
    #[error("it answers {status}{message}{}", login_said(login.as_deref()))]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// What it says, behind a colon; empty when it says nothing.
        message: String,
        /// The login that it was shown, if it was shown one.
        login: Option<String>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It wants a login and there is none.
    #[error("it wants a login, and none is known for {}{}", .0.registry, .0.listed())]
    NoLogin(Refusal),
    /// It wants a password and a token is known.
    #[error(
        "it wants a user name and a password, and what is known for {} is {}",
        .0.registry,
        .0.login.as_deref().unwrap_or_default()
    )]
    NoPassword(Refusal),
    /// It does not take the login.
    #[error(
        "it refuses the login for {} that it was sent: {}{}",
        .0.registry,
        .0.login.as_deref().unwrap_or_default(),
        .0.listed()
    )]
    Refused(Refusal),
    /// It asks for a kind of login that is not known.
    #[error("it asks for a login of an unknown kind: `{0}`")]
    Challenge(String),
    /// A login was to be sent over a worse connection than the registry's.
    #[error("it sends the login to `{0}`, which has no TLS")]
    Downgrade(String),
    /// A token server at an address that only this machine or its link knows.
    #[error("it names `{0}` as its token server, an address of this machine or of its own network")]
    Inside(String),
    /// The token server does not give a token.
    #[error("its token server `{realm}` gives no token")]
    Token {
        /// The token server.
        realm: String,
        #[source]
        source: Box<RequestError>,
    },
    /// An answer of the token server that holds no token.
    #[error("the answer is not a token")]
    NoToken,
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

/// Whom a registry did not let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    pub registry: String,
    /// The login that it was shown, if it was shown one.
    pub login: Option<String>,
    /// Logins that are there and cannot be used.
    pub problems: Vec<String>,
}

impl Refusal {
    fn listed(&self) -> String {
        let nothing = [String::new()].into_iter();
        let all: Vec<_> = nothing.chain(self.problems.iter().cloned()).collect();
        all.join("; ")
    }
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        match refusal.login {
            Some(_) => Self::Refused(refusal),
            None => Self::NoLogin(refusal),
        }
    }
}

fn login_said(login: Option<&str>) -> String {
    login.map_or_else(String::new, |login| format!(" to the login of {login}"))
}

impl From<reqwest::Error> for RequestError {
    /// Without the address: behind a redirect it may hold a signed query.
    fn from(error: reqwest::Error) -> Self {
        match TlsTrouble::of(&error) {
            Some(trouble) => Self::Tls(trouble),
            None => Self::Http(error.without_url()),
        }
    }
}

impl RequestError {
    /// HTTP status of a refusal.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The same with the login that the registry was shown.
    pub(super) fn shown(mut self, shown: Option<String>) -> Self {
        if let Self::Status { login, .. } = &mut self {
            *login = shown;
        }
        self
    }

    /// Why TLS does not come about, if that is the trouble.
    pub fn tls(&self) -> Option<&TlsTrouble> {
        match self {
            Self::Tls(trouble) => Some(trouble),
            Self::Token { source, .. } => source.tls(),
            _ => None,
        }
    }

    /// Whether the other side answers something that is no HTTP, as a server
    /// that speaks TLS does to a request without.
    pub fn is_no_http(&self) -> bool {
        match self {
            Self::Http(error) => {
                let mut source = error.source();
                let mut said = String::new();
                while let Some(cause) = source {
                    said = cause.to_string();
                    source = cause.source();
                }
                said.contains("invalid HTTP version")
            }
            Self::Status {
                status, message, ..
            } => *status == StatusCode::BAD_REQUEST && message.contains("HTTPS"),
            Self::Token { source, .. } => source.is_no_http(),
            _ => false,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => !error.is_builder() && !error.is_redirect() && !self.is_no_http(),
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
