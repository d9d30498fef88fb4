//! What is true right now: of an installed appliance, or of a host that is about
//! to get one.
//!
//! [`gather`] asks everything at once, each question with its own limit, and
//! changes nothing, except that the end-to-end probe leaves one event behind.
//! An answer that did not come is [`Fact::Unknown`] with the reason, never a
//! missing line: a check must be able to tell "is well" from "could not
//! be seen". [`before`] looks at the host and the engine before a [`Change`].
//! Judging itself is `check`'s matter.

pub mod airgap;
mod applied;
mod backups;
mod before;
mod boot;
pub mod certificate;
mod change;
pub mod egress;
pub mod existing;
mod fact;
mod gather;
mod gathered;
pub mod here;
mod host;
mod image_dir;
pub mod lab;
mod limit;
mod nofile;
pub mod running;
pub mod settings;
pub mod subject;

pub use backups::Backups;
pub use before::{before, running_schemas};
pub use boot::Boot;
pub use change::{Change, DiskNeed, MissingLayer};
pub use fact::Fact;
pub use gather::gather;
pub use gathered::{CommandHealth, EventTrip, Facts, Probe};
pub use image_dir::image_dir;
pub use subject::Subject;
