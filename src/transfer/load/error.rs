//! What can go wrong with loading.

use std::io;

use crate::engine::EngineError;
use crate::facts::MissingLayer;
use crate::oci::digest::Digest;
use crate::sys::span::is_from_system;

/// Why an image is not in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine refused something.
    #[error("cannot load image `{reference}`")]
    Engine {
        /// The image.
        reference: String,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
    /// A layer is not what was signed, or cannot be read.
    #[error("layer {digest} of image `{reference}` cannot be used; the load was aborted")]
    Layer {
        /// The image.
        reference: String,
        /// The layer.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// Config or manifest are not the ones their digests name.
    #[error("{part} of image `{reference}` is not {digest}")]
    Source {
        /// The image.
        reference: String,
        /// `config` or `manifest`.
        part: &'static str,
        /// What it should be.
        digest: Digest,
    },
    /// The engine holds something else than what it was given.
    #[error("the engine loaded `{reference}` as {found}, but the bundle says {expected}")]
    Identity {
        /// The image.
        reference: String,
        /// What the bundle says.
        expected: String,
        /// What the engine says.
        found: String,
    },
    /// A delta bundle leaves out what nothing at hand has.
    #[error(
        "the bundle leaves out layers that neither the engine nor a base bundle has: {}",
        .0.iter().map(|one| one.layer.to_string()).collect::<Vec<_>>().join(", ")
    )]
    Incomplete(Vec<MissingLayer>),
    /// The image that brings the layers below was not loaded.
    #[error("image `{0}` was given up: the layers below its own were not loaded")]
    GivenUp(String),
    /// No thread could be started to read layers.
    #[error("cannot start a thread to read image `{reference}`")]
    Thread {
        /// The image.
        reference: String,
        #[source]
        source: io::Error,
    },
}

impl LoadError {
    /// Whether what was read is not what was signed. A failed read, such as
    /// of a stick that was pulled out, is not.
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Layer { source, .. } => !is_from_system(source),
            Self::Source { .. } | Self::Identity { .. } => true,
            Self::Engine { .. } | Self::GivenUp(_) | Self::Thread { .. } | Self::Incomplete(_) => {
                false
            }
        }
    }

    /// Whether the engine took the bytes, but not for an image.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Engine {
                source: EngineError::Load { .. },
                ..
            }
        )
    }
}
