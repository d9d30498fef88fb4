//! The parts of the list in one.

use super::ground::GROUND;
use super::stack::STACK;
use crate::check::definition::Check;

/// Every check, in the order in which they are shown: each tends to explain
/// the ones after it.
pub const CHECKS: &[Check] = &joined();

const fn joined() -> [Check; GROUND.len() + STACK.len()] {
    let mut all = [GROUND[0]; GROUND.len() + STACK.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < GROUND.len() {
            GROUND[at]
        } else {
            STACK[at - GROUND.len()]
        };
        at += 1;
    }
    all
}
