//! `site.toml`: what the operator decides.
//!
//! Langfuse validates its own settings only after it has migrated, so they are
//! validated here, in full, before any container starts: every problem of a
//! file is reported at once, each with its key, its line, the reason and what
//! to write instead. A `SiteConfig` exists only without problems.

mod config;
mod error;
mod model;
mod origin;
#[cfg(feature = "pull")]
mod pair;
mod read;
mod refusal;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod tls;

pub use error::{Problem, SCHEMA, SiteError};
pub use model::{Admin, Named, SITE_KEYS, SiteConfig, TlsFiles};
pub use origin::{Origin, Scheme};
pub use template::Answers;
pub use tls::TlsMaterial;
