//! What can go wrong with secrets.

/// What can go wrong with secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A value has no form in TOML.
    #[error("secrets cannot be written as TOML")]
    Write,
    /// An override differs from a value that data depends on.
    #[error("secret `{name}` must not change after installing: stored data depends on it")]
    Immutable { name: String },
    /// The operating system gave no randomness.
    #[error("operating system gave no randomness")]
    Randomness(#[source] getrandom::Error),
}
