//! What is true of an installed appliance right now.
//!
//! [`gather`] asks everything at once, each question with its own limit, and
//! changes nothing, except that the end-to-end probe leaves one event behind.
//! An answer that did not come is [`Fact::Unknown`] with the reason, never a
//! missing line: whoever judges must be able to tell "is well" from "could not
//! be seen". Judging itself is `doctor`'s matter.

pub mod egress;
pub mod existing;
mod fact;
mod gather;
mod gathered;
pub mod installed;
pub mod running;
pub mod settings;

pub use fact::Fact;
pub use gather::gather;
pub use gathered::{CommandHealth, EventTrip, Facts, Probe};
pub use installed::Installed;
