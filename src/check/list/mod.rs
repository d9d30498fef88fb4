//! The list of checks.

mod all;
mod ground;
mod stack;

pub use all::CHECKS;
