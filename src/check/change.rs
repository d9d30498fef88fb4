//! The change that a check looks at before it is made.

use super::outcome::Unknown;
use crate::facts::{Change, Facts};

/// What is about to be done, or the end of a check that makes no sense without.
pub(super) fn change(facts: &Facts) -> Result<&Change, Unknown> {
    facts
        .change
        .as_ref()
        .ok_or_else(|| Unknown::new("nothing is about to be installed"))
}
