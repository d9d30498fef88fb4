//! Secrets of one appliance: made once, kept in `secrets.toml`, never shown.
//!
//! A [`Secret`] has neither `Display` nor `Serialize`, so it reaches a file or
//! a container only where [`Secret::expose`] is spelled out. Errors of this
//! module never quote the file they speak of.

mod error;
mod generate;
mod redact;
mod store;
mod value;

pub use error::SecretError;
pub use redact::Redactor;
pub use store::{SCHEMA, SecretStore};
pub use value::Secret;
