//! lfctl puts Langfuse onto a host that has never seen the internet, keeps it
//! there through upgrades, and proves that it is well and that nothing leaves.
//!
//! Layers, each using only those to its right:
//!
//! ```text
//! cli  >  install, doctor  >  facts  >  appliance, bundle  >  stack, engine, sign, oci  >  sys
//! ```
//!
//! `report::event` is a leaf that anyone may emit to. `tests/it/architecture.rs`
//! holds the code to this picture.

pub mod appliance;
pub mod bundle;
pub mod cli;
pub mod doctor;
pub mod engine;
pub mod facts;
pub mod install;
pub mod oci;
pub mod report;
pub mod sign;
pub mod stack;
pub mod sys;
