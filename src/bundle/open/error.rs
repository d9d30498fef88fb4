//! Why a file is not a bundle to be trusted.

use std::fmt;
use std::io;
use std::path::PathBuf;

use semver::Version;

use crate::bundle::manifest::FORMAT;
use crate::oci::archive::ArchiveError;
use crate::oci::digest::Digest;
use crate::oci::image::ImageError;
use crate::sign::SignError;

/// What a blob is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The OCI artifact that ties bundle manifest and stack together.
    Artifact,
    BundleManifest,
    /// The stack definition.
    Stack,
    /// The config of the image with this reference.
    ImageConfig(String),
    /// The manifest of the image with this reference.
    ImageManifest(String),
    Layer,
    /// The software bill of materials.
    Sbom,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact => f.write_str("artifact manifest"),
            Self::BundleManifest => f.write_str("bundle manifest"),
            Self::Stack => f.write_str("stack definition"),
            Self::ImageConfig(reference) => write!(f, "config of image `{reference}`"),
            Self::ImageManifest(reference) => write!(f, "manifest of image `{reference}`"),
            Self::Layer => f.write_str("layer"),
            Self::Sbom => f.write_str("software bill of materials"),
        }
    }
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file does not begin as a bundle does.
    #[error("`{}` is not a bundle", .0.display())]
    NotABundle(PathBuf),
    /// The tar is not the one the signed documents call for.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is no signature.
    #[error("bundle is not signed")]
    Unsigned,
    /// The signature is not to be trusted.
    #[error(transparent)]
    Signature(#[from] SignError),
    /// The signed comment speaks of another bundle.
    #[error("trusted comment of the signature is `{found}`; the bundle calls for `{expected}`")]
    Comment {
        /// What the signature says.
        found: String,
        /// What the bundle manifest calls for.
        expected: String,
    },
    /// A blob does not have the digest by which it is named.
    #[error("{role} {digest} has other content")]
    Content {
        /// What it is for.
        role: Role,
        /// The digest it should have.
        digest: Digest,
    },
    /// A document that cannot be read although its digest is right.
    #[error("{what} cannot be read")]
    Document {
        /// Which one.
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// An image document that cannot be read although its digest is right.
    #[error("image `{reference}` cannot be read")]
    Image {
        /// The image.
        reference: String,
        #[source]
        source: ImageError,
    },
    /// Two documents of the bundle contradict each other.
    #[error("{0} does not agree with the bundle manifest")]
    Contradiction(String),
    /// Names or references that may be in no bundle.
    #[error("bundle manifest is wrong: {}", .0.join("; "))]
    Vocabulary(Vec<String>),
    /// The stack definition refers to something that is not there.
    #[error("stack definition is wrong: {}", .0.join("; "))]
    Stack(Vec<String>),
    /// The format is newer than this lfctl.
    #[error(
        "bundle has format {found}; this lfctl reads {FORMAT}: lfctl {needed} or later is needed"
    )]
    NewerFormat {
        /// Format of the bundle.
        found: u32,
        /// The lfctl that reads it, as the bundle says.
        needed: String,
    },
    /// The bundle asks for a newer lfctl.
    #[error("bundle needs lfctl {needed} or later; this is {}", env!("CARGO_PKG_VERSION"))]
    NewerLfctl {
        /// The oldest lfctl that can install it.
        needed: Version,
    },
    /// The bundle holds no blob of this digest.
    #[error("bundle holds no blob {0}")]
    NoSuchBlob(Digest),
    /// A blob that is asked for whole is too large for that.
    #[error("blob {digest} of {size} bytes is too large to be held in memory")]
    LargeBlob {
        /// The blob.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// Reading failed.
    #[error("cannot read the bundle")]
    Io(#[source] io::Error),
}
