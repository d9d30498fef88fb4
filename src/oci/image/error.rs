//! Why documents are not an image that can be bundled.

use crate::oci::digest::Digest;

/// Layers that Docker puts on top of each other: 20.10 loads 125 and refuses
/// 126 with "max depth exceeded".
pub const MOST_LAYERS: usize = 125;

/// Why two documents are not an image that can be bundled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The manifest is no image manifest.
    #[error("image manifest cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// The config is no image config.
    #[error("image config cannot be read")]
    Config(#[source] serde_json::Error),
    /// Something else is there under the name.
    #[error("it is {0}, not an image")]
    NotAnImage(NotAnImage),
    /// A digest in a document is not sha256.
    #[error("image names a blob by something else than sha256")]
    Digest(#[from] crate::oci::digest::ParseDigestError),
    /// The config that was read is not the one the manifest names.
    #[error("image manifest names config {named} of {size} bytes; {found} of {len} bytes was read")]
    OtherConfig {
        /// Digest in the manifest.
        named: Digest,
        /// Size in the manifest.
        size: u64,
        /// Digest of the bytes.
        found: Digest,
        /// Size of the bytes.
        len: usize,
    },
    /// Manifest and config disagree about the number of layers.
    #[error("image manifest has {manifest} layers, its config {config}")]
    LayerCount {
        /// Layers of the manifest.
        manifest: usize,
        /// Layers of the config.
        config: usize,
    },
    /// A layer that Docker before version 23 cannot inflate.
    #[error(
        "layer {0} is compressed with zstd, which Docker reads only since version 23; only tar and \
         tar+gzip can be bundled"
    )]
    Zstd(Digest),
    /// A layer that no registry may hand out.
    #[error("layer {0} may not be distributed: it is on a server of its owner")]
    Foreign(Digest),
    /// A layer of a kind that is not known.
    #[error("layer {digest} has media type `{media_type}`; only tar and tar+gzip can be bundled")]
    MediaType {
        /// The layer.
        digest: Digest,
        media_type: String,
    },
    /// More layers than an engine puts on top of each other.
    #[error("image has {0} layers; Docker takes at most {MOST_LAYERS}")]
    TooManyLayers(usize),
}

/// What a document is that is not an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAnImage {
    /// Docker's first format, which engines do not take any more.
    Schema1,
    /// A page for people.
    WebPage,
    /// Something that is stored beside images, by its media type.
    Artifact(String),
    /// JSON of another kind.
    OtherDocument,
}

impl std::fmt::Display for NotAnImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Schema1 => return f.write_str("an image of schema 1"),
            Self::WebPage => return f.write_str("a web page"),
            Self::OtherDocument => return f.write_str("a document without config and layers"),
            Self::Artifact(kind) => kind,
        };
        let what = match kind.as_str() {
            kind if kind.contains(".helm.") => "a Helm chart",
            kind if kind.contains(".in-toto") => "an attestation",
            kind if kind.contains("cosign") || kind.contains("sigstore") => "a signature",
            kind if kind.contains(".wasm.") => "a WebAssembly module",
            kind if kind.contains(".cnab.") => "a bundle of CNAB",
            kind if kind.contains("plugin") => "a plugin of Docker",
            _ => "an artifact",
        };
        write!(f, "{what} (`{kind}`)")
    }
}
