//! All rules, one after the other.

use std::collections::BTreeSet;

use super::error::StackError;
use super::{langfuse, parts, vocabulary};
use crate::stack::Stack;

/// Checks a stack definition against itself, the keys of the bundle's images
/// and what is known of Langfuse. Does no I/O.
///
/// # Errors
///
/// Every mistake that was found.
pub fn validate(stack: &Stack, images: &BTreeSet<String>) -> Result<(), Vec<StackError>> {
    let mut errors = Vec::new();
    parts::check(stack, images, &mut errors);
    vocabulary::check(stack, &mut errors);
    langfuse::check(stack, &mut errors);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}
