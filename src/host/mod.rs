//! What belongs to the host and not to one appliance: the trust store, the
//! releases it has seen, its audit log, the lock over these files, its
//! firewall, and units of systemd.

pub mod audit;
pub mod firewall;
pub mod lock;
pub mod releases;
mod shared;
pub mod statements;
pub mod systemd;
pub mod trust;

pub use shared::{HOST, HostError, HostLock};
