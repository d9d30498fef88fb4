//! Backups: one snapshot of the whole appliance while it serves.
//!
//! The worker is paused, the queue is saved, the tables of `ClickHouse` are
//! frozen, and the worker goes on. Then everything is copied: the queue, the
//! rows, Postgres, and the objects that they name last. Nothing is staged on
//! the host: each byte goes from its server into the repository.

mod actions;
mod copy;
mod manifest;
mod sink;
mod step;
mod work;

pub use copy::sizes;
pub(super) use copy::{DUMP, MEMORY, SECRETS, SITE, place, types_of};
pub use manifest::{Contents, Manifest};
pub use step::{Step, plan};
pub use work::Backup;
