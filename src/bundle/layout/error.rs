//! Why contents cannot be laid out or sealed.

use crate::bundle::manifest::Platform;
use crate::oci::archive::ArchiveError;
use crate::oci::digest::Digest;
use crate::sign::SignError;

/// Why contents cannot be laid out or sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// An image is for another platform than the bundle.
    #[error("image `{reference}` is for {found}, the bundle for {wanted}")]
    Platform {
        /// The image.
        reference: String,
        /// Its platform.
        found: Platform,
        /// The bundle's platform.
        wanted: Platform,
    },
    /// One reference stands for two images.
    #[error("reference `{0}` is used for two different images")]
    Reference(String),
    /// Two images disagree about a layer they share.
    #[error("images disagree about the size or content of layer {0}")]
    Layer(Digest),
    /// Nobody said how large a layer is once inflated.
    #[error("layer {0} was not written")]
    Missing(Digest),
    /// A layer is to be left out that no image has.
    #[error("no image has layer {0}, which is to be left out")]
    NotALayer(Digest),
    /// The stack definition grew beyond its room.
    #[error("stack definition is longer than was planned")]
    Stack,
    /// An SBOM was promised and not given, or given and not promised.
    #[error("software bill of materials is missing, or was not planned")]
    Sbom,
    /// A document cannot be written as JSON.
    #[error("cannot write the bundle manifest")]
    Json(#[from] serde_json::Error),
    /// The tar cannot hold it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}
