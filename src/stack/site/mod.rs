//! `site.toml`: what the operator decides.
//!
//! Langfuse validates its own settings only after it has migrated, so they are
//! validated here, in full, before any container starts: every problem of a
//! file is reported at once, each with its key, its line, the reason and what
//! to write instead. A `SiteConfig` exists only without problems.

mod ca;
#[cfg(feature = "pull")]
mod certificate_key;
mod config;
mod egress;
mod error;
mod model;
mod origin;
mod read;
mod refusal;
mod rules;
mod section;
mod similar;
mod template;
#[cfg(test)]
mod tests;
mod tls;

pub use ca::CaBundle;
pub use error::{Problem, SCHEMA, SiteError};
pub use model::{Admin, BackupLimits, Egress, Named, SiteConfig, TlsFiles};
pub use origin::{Origin, Scheme};
pub use template::Answers;
pub use tls::TlsMaterial;
