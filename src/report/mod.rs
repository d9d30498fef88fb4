//! Events, findings and their renderers.
//!
//! `event`, `finding` and `text` are leaves: values that core code makes. `human`
//! shows them to people on stderr, `json` to programs on stdout; only `cli`
//! names those two.

pub mod event;
pub mod finding;
pub mod human;
pub mod json;
mod progress;
pub mod text;
mod wrap;
