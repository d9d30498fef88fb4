//! What can go wrong with a registry, and what may pass by itself.

use oci_client::Reference;
use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::oci::digest::Digest;

/// What can go wrong with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The client cannot be set up.
    #[error("cannot set up the registry client")]
    Client(#[source] OciDistributionError),
    /// A request failed for good.
    #[error("cannot get {what} from {registry}")]
    Request {
        /// What was asked for.
        what: String,
        /// Who was asked.
        registry: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry has the image for other platforms only.
    #[error("`{reference}` is not there for {platform}; it is for {}", offered.join(", "))]
    Platform {
        /// The image.
        reference: String,
        /// The wanted platform.
        platform: String,
        /// Platforms it is there for.
        offered: Vec<String>,
    },
    /// The registry answered with other bytes than those asked for.
    #[error("registry answered with other content for {what}: wanted {wanted}, got {found}")]
    Content {
        /// What was asked for.
        what: String,
        /// The digest asked for.
        wanted: Digest,
        /// The digest of the answer.
        found: Digest,
    },
    /// A manifest takes longer than any honest one.
    #[error("registry did not send {what} within {} s", limit.as_secs())]
    Slow {
        /// What was asked for.
        what: String,
        /// How long it was given.
        limit: std::time::Duration,
    },
    /// The registry sent more bytes than announced, or a huge document.
    #[error("registry sends more than {limit} bytes for {what}")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The bytes that are accepted.
        limit: u64,
    },
    /// A document that cannot be read.
    #[error("registry's answer for {what} cannot be read")]
    Document {
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Wraps the error of a request.
pub(super) fn request_error(
    what: String,
    image: &Reference,
    error: OciDistributionError,
) -> RegistryError {
    RegistryError::Request {
        what,
        registry: image.resolve_registry().to_owned(),
        source: Box::new(error),
    }
}

/// Whether the same request may succeed a little later.
pub(super) fn is_transient(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::IoError(_) => true,
        OciDistributionError::RequestError(error) => !error.is_builder() && !error.is_redirect(),
        OciDistributionError::ServerError { code, .. } => {
            matches!(*code, 408 | 429 | 500 | 502..=504)
        }
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| error.code == OciErrorCode::Toomanyrequests),
        _ => false,
    }
}
