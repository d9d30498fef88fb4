//! lfctl puts Langfuse onto a host that has never seen the internet, keeps it
//! there through upgrades, and proves that it is healthy and that nothing leaves.
//!
//! Layers, each using only those to its right:
//!
//! ```text
//! cli > change, check > transfer, facts > langfuse, render > appliance, bundle, repository, host > stack, engine, sign, oci > sys
//! ```
//!
//! `fake` builds bundles and an engine for tests; it is not in the program.
//! `report::event` and `report::finding` are leaves that anyone may use.
//! `tests/it/architecture.rs` holds the code to this picture.

pub mod appliance;
pub mod bundle;
pub mod change;
pub mod check;
pub mod cli;
pub mod engine;
pub mod facts;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod host;
pub mod langfuse;
pub mod oci;
pub mod render;
pub mod report;
pub mod repository;
pub mod sign;
pub mod stack;
pub mod sys;
pub mod transfer;
