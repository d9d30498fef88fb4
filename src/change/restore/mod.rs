//! Restoring a snapshot: onto an empty host, onto a broken one, or into a copy
//! for a drill.
//!
//! Everything is made anew. Redis finds its memory when it starts; the other
//! stores are filled as soon as their servers are healthy; rows and objects
//! are compared with the manifest before web and worker start. Nothing is
//! migrated. A run that breaks off is begun anew.

mod actions;
mod fill;
mod step;

pub use actions::{Restore, Source};
pub use step::{InTheWay, Step, plan};
