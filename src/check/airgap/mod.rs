//! Judges the evidence that nothing leaves, and shows it.

mod html;
mod judge;
mod known;
mod picture;
mod proof;
#[cfg(test)]
mod tests;
mod text;

pub use judge::judge;
pub use proof::{About, Proof, SCHEMA, Verdict};
