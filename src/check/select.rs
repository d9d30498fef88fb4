//! Choosing checks from the list.

use std::collections::BTreeSet;

use super::definition::{Check, Phase};
use super::list::CHECKS;
use crate::facts::Probe;

/// What matters when images are loaded and nothing else is done.
const LOAD: [&str; 5] = [
    "bundle.incomplete",
    "bundle.old",
    "engine.platform",
    "host.disk-space",
    "host.clock",
];

/// Why a name chooses no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No check and no group has it.
    #[error("there is no check or group `{0}`")]
    Unknown(String),
    /// The check is made before a change only.
    #[error("`{0}` is checked before an install only")]
    BeforeOnly(String),
}

/// All checks before an install.
pub fn before() -> Vec<&'static Check> {
    of_phase(Phase::Before).collect()
}

/// The checks before images are loaded.
pub fn before_load() -> Vec<&'static Check> {
    of_phase(Phase::Before)
        .filter(|check| LOAD.contains(&check.id))
        .collect()
}

/// The checks of an installed appliance that have these names; all of them
/// when none is named. A name may be a former one, or that of a group, such as
/// `egress`.
///
/// # Errors
///
/// The first name that chooses none.
pub fn select(only: &[String]) -> Result<Vec<&'static Check>, SelectError> {
    for name in only {
        if of_phase(Phase::After).any(|check| check.is_called(name)) {
            continue;
        }
        let is_known = CHECKS.iter().any(|check| check.is_called(name));
        return Err(if is_known {
            SelectError::BeforeOnly(name.clone())
        } else {
            SelectError::Unknown(name.clone())
        });
    }
    Ok(of_phase(Phase::After)
        .filter(|check| only.is_empty() || only.iter().any(|name| check.is_called(name)))
        .collect())
}

fn of_phase(phase: Phase) -> impl Iterator<Item = &'static Check> {
    CHECKS
        .iter()
        .filter(move |check| check.when.includes(phase))
}

/// The questions that these checks need answers to.
pub fn probes(checks: &[&Check]) -> BTreeSet<Probe> {
    checks
        .iter()
        .flat_map(|check| check.probes)
        .copied()
        .collect()
}
