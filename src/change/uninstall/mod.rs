//! Taking an appliance off a host: containers, networks and images go;
//! volumes and secrets stay unless the operator says `--purge`.
//!
//! Only objects with the appliance's label are touched, and only image tags
//! that still point at the images lfctl loaded.

mod actions;
mod find;
mod step;

pub use actions::Uninstall;
pub use find::{Removal, find};
pub use step::{Step, plan};
