//! Bundles: what to bundle (spec), what is inside (manifest), making and opening them.

pub mod countersign;
#[cfg(feature = "pull")]
pub mod create;
pub mod delta;
pub mod diff;
mod documents;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod open;
pub mod parts;
pub mod pins;
pub mod receipt;
pub mod sbom;
pub mod spec;
mod workers;

pub use open::{Bundle, OpenError, UntrustedBundle};
pub use receipt::Receipt;
