//! An engine in memory, which can be made to fail at any call.
//!
//! It keeps what it is told to make, runs every container at once and well,
//! and answers questions about schemas as the migration job left them. A fault
//! hits the call of a number: see [`Fault`].

mod archive;
mod contract;
mod fault;
mod loads;
mod state;

pub use contract::FakeEngine;
pub use fault::Fault;
pub use state::Contents;
