//! Judges what is true of a host and an appliance: one list of small checks.
//!
//! Each check has one id and says when it is made: before a change, on what is
//! installed, or both. Preflight and doctor are two selections of [`CHECKS`].
//! Checks are pure: they take [`Facts`](crate::facts::Facts) and do nothing
//! else. A fact that is not known makes "could not check", which is neither
//! passed nor failed; no check can stop another. `docs/doctor.md` explains each
//! check, and a test compares that page with this list.

pub mod airgap;
mod appliance;
mod applied;
mod backup;
mod boot;
mod bundle;
mod cause;
mod change;
mod clients;
mod data;
mod definition;
mod egress;
mod engine;
mod environment;
mod examination;
#[cfg(test)]
pub(crate) mod faults;
mod firewall;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fixture_backups;
#[cfg(test)]
mod fixture_before;
mod host;
pub mod lab;
mod list;
mod outcome;
mod remedy;
mod second_web;
mod select;
mod stack;
mod stopped;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod update;

pub use definition::{Check, Phase, When};
pub use examination::{Counts, Examination, Examined, examine};
pub use list::CHECKS;
pub use outcome::{Cause, Outcome};
pub use select::{SelectError, before, before_load, probes, select};
