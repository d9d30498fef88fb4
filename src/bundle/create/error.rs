//! Why no bundle was made.

use std::io;

use indicatif::HumanBytes;
use oci_spec::distribution::Reference;
use semver::Version;

use crate::bundle::layout::LayoutError;
use crate::bundle::migrations::MigrationsError;
use crate::bundle::open::OpenError;
use crate::bundle::parts::PartError;
use crate::bundle::spec::{SpecError, tagged};
use crate::engine::{EngineError, EngineKind};
use crate::oci::digest::Digest;
use crate::oci::image::ImageError;
use crate::oci::local::LocalError;
use crate::oci::registry::RegistryError;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The spec does not fit the wish.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The platform is none of the spec's.
    #[error("choose one of the spec's platforms: {}", .0.join(", "))]
    Platform(Vec<String>),
    /// The bundle would need a newer lfctl than the one that makes it.
    #[error("bundle is for lfctl {0} or later, which has to make it as well")]
    NewerLfctl(Version),
    /// The lock is for other platforms.
    #[error("lock is for {found}, the bundle for {wanted}")]
    LockPlatform {
        /// Platforms of the lock.
        found: String,
        /// Platform of the bundle.
        wanted: String,
    },
    /// The base is for another platform.
    #[error("base `{name}` is for {found}, the bundle for {wanted}")]
    BasePlatform {
        /// The base.
        name: String,
        /// Its platform.
        found: String,
        /// Platform of the bundle.
        wanted: String,
    },
    /// The lock does not know an image of the spec.
    #[error("lock does not name `{0}`")]
    NotLocked(String),
    /// A tag points at another image than the lock says.
    #[error("`{reference}` moved: it is now {found}, locked is {locked}")]
    Moved {
        reference: String,
        /// Digest in the lock.
        locked: Digest,
        /// Digest in the registry.
        found: Digest,
    },
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An image on this machine cannot be taken.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine does not have an image.
    #[error("{engine} has no image `{reference}`")]
    NotInEngine {
        engine: EngineKind,
        /// The image.
        reference: String,
    },
    /// An image cannot be bundled.
    #[error("image `{reference}` cannot be bundled")]
    Image {
        /// The image.
        reference: String,
        #[source]
        source: ImageError,
    },
    /// A layer is not what its image says.
    #[error(
        "layer {digest}{} is not what its image says: {problem}",
        of_image(image)
    )]
    Layer {
        /// The layer.
        digest: Digest,
        /// An image that has it, where it is known.
        image: String,
        /// In what way.
        problem: String,
    },
    /// A layer has the right bytes and a wrong media type.
    #[error(
        "layer {digest}{} is called {said} by its image and is {found}: engines differ on what to \
         make of it",
        of_image(image)
    )]
    Mislabelled {
        /// The layer.
        digest: Digest,
        /// An image that has it.
        image: String,
        /// What its media type says.
        said: &'static str,
        /// What its first bytes say.
        found: &'static str,
    },
    /// A layer has the right bytes and content, and a gzip stream that does not
    /// end as one should.
    #[error(
        "layer {digest}{} holds what its image says and ends wrongly, {problem}: engines differ on \
         what to make of it",
        of_image(image)
    )]
    BadEnd {
        /// The layer.
        digest: Digest,
        /// An image that has it.
        image: String,
        /// What is wrong with its end.
        problem: String,
    },
    /// A layer has the right bytes and inflates without end.
    #[error("layer {digest}{} inflates to more than {}", of_image(image), HumanBytes(*limit))]
    TooLarge {
        /// The layer.
        digest: Digest,
        /// An image that has it.
        image: String,
        /// Bytes that are accepted.
        limit: u64,
    },
    /// A layer is right, but its content cannot be listed.
    #[error("cannot read the packages in layer {digest}")]
    Scan {
        /// The layer.
        digest: Digest,
        #[source]
        source: io::Error,
    },
    /// The definition and the image do not go together.
    #[error("definition does not fit image `{reference}`")]
    Migrations {
        /// The image.
        reference: String,
        /// In what way.
        #[source]
        source: MigrationsError,
    },
    /// The packages are too many to be listed.
    #[error("cannot list the packages of the images")]
    Bom(#[source] io::Error),
    /// The bundle cannot be laid out or signed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file cannot be written.
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
    /// What was written does not verify.
    #[error("bundle did not verify after it was written")]
    Verify(#[source] OpenError),
    /// The bundle cannot be cut into parts.
    #[error("cannot cut the bundle into parts")]
    Parts(#[from] PartError),
    /// A worker thread died.
    #[error("a worker thread died")]
    Worker(#[from] tokio::task::JoinError),
}

/// " of `image`", where it is known.
pub(super) fn of_image(image: &str) -> String {
    if image.is_empty() {
        String::new()
    } else {
        format!(" of `{image}`")
    }
}

impl CreateError {
    /// The same, with the image that has the layer.
    pub(super) fn within(mut self, reference: &Reference) -> Self {
        if let Self::Layer { image, .. }
        | Self::Mislabelled { image, .. }
        | Self::BadEnd { image, .. }
        | Self::TooLarge { image, .. } = &mut self
        {
            *image = tagged(reference);
        }
        self
    }

    /// Whether the same command may go on with what was pulled.
    pub(super) fn can_go_on(&self) -> bool {
        match self {
            Self::Registry(_) | Self::Engine(_) | Self::Migrations { .. } => true,
            Self::Write(error) => matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }
}
