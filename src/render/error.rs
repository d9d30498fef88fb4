//! Why something cannot be rendered.

/// Why something cannot be rendered. A definition that passed
/// [`crate::stack::validate`] with secrets made by its rules gives none of these but
/// [`RenderError::NoImage`], [`RenderError::NoTls`] and [`RenderError::NoCa`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A reference without a value.
    #[error("{at} refers to `{reference}`, which has no value")]
    NoValue {
        at: String,
        /// The reference as written.
        reference: String,
    },
    /// No image id for a key.
    #[error("{at} needs image `{key}`, which is not loaded")]
    NoImage {
        at: String,
        /// The bundle's key.
        key: String,
    },
    /// The site names a certificate, but its content was not given.
    #[error("the gateway's certificate and key were not read")]
    NoTls,
    /// The site names certificates, but their content was not given.
    #[error("the certificates of `ca.bundle` were not read")]
    NoCa,
    /// A mode or an owner that is not one.
    #[error("{at} has no legal mode or owner")]
    BadFile { at: String },
    /// A file that does not fit into a tar.
    #[error("{path} does not fit into a tar")]
    Tar {
        path: String,
        #[source]
        source: std::io::Error,
    },
}
