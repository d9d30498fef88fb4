//! Judges what is true of a host and an appliance: one list of small checks.
//!
//! Each check has one id and says when it is made: before a change, on what is
//! installed, or both. Preflight and doctor are two selections of [`CHECKS`].
//! Checks are pure: they take [`Facts`](crate::facts::Facts) and do nothing
//! else. A fact that is not known makes "could not check", which is neither
//! passed nor failed; no check can stop another. `docs/doctor.md` explains each
//! check, and a test compares that page with this list.

mod appliance;
mod applied;
mod bundle;
mod cause;
mod change;
mod data;
mod definition;
mod egress;
mod engine;
mod environment;
mod examination;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fixture_before;
mod host;
mod list;
mod outcome;
mod remedy;
mod select;
mod stack;
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
