//! Finds every mistake in a stack definition before it is signed or run.
//!
//! Code behind [`validate`] relies on names: no reference leads nowhere, and
//! what Langfuse must be told on a host like this is there.

mod all;
mod error;
mod langfuse;
mod name;
mod parts;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use all::validate;
pub use error::StackError;
pub use name::{LONGEST_NAME, is_legal_name};
