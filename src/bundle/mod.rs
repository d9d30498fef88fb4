//! Bundles: what to bundle (spec), what is inside (manifest), making and opening them.

pub mod chain;
pub mod countersign;
#[cfg(feature = "pull")]
pub mod create;
pub mod delta;
pub mod diff;
mod documents;
pub mod fit;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod migrations;
#[cfg(feature = "pull")]
pub mod next;
pub mod open;
pub mod parts;
pub mod pins;
pub mod receipt;
pub mod sbom;
pub mod spec;
mod vocabulary;
mod workers;

pub use open::{Bundle, OpenError, UntrustedBundle};
pub use receipt::Receipt;
