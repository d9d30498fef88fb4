//! Why something cannot be rendered.

/// Why something cannot be rendered. A definition that passed
/// [`crate::stack::validate`] with secrets made by its rules gives none of these but
/// [`RenderError::NoImage`] and [`RenderError::NoTls`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A reference without a value.
    #[error("{at} refers to `{reference}`, which has no value")]
    NoValue {
        /// Where.
        at: String,
        /// The reference as written.
        reference: String,
    },
    /// No image id for a key.
    #[error("{at} needs image `{key}`, which is not loaded")]
    NoImage {
        /// Where.
        at: String,
        /// The bundle's key.
        key: String,
    },
    /// The site names a certificate, but its content was not given.
    #[error("the gateway's certificate and key were not read")]
    NoTls,
    /// A mode or an owner that is not one.
    #[error("{at} has no legal mode or owner")]
    BadFile {
        /// Where.
        at: String,
    },
    /// A file that does not fit into a tar.
    #[error("{path} does not fit into a tar")]
    Tar {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
