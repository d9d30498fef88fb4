//! Stand-ins for tests: bundles made up on the spot, an engine in memory that
//! can be made to fail at any call, and a Langfuse that answers probes.
//!
//! Not in the program: only tests and the feature `fake` build it.

pub mod bundle;
pub mod engine;
pub mod langfuse;
#[cfg(test)]
mod tests;
