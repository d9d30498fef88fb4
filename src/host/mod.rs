//! What belongs to the host and not to one appliance: the trust store, the
//! releases it has seen, its audit log, and the lock over these files.

pub mod audit;
pub mod lock;
pub mod releases;
mod shared;
pub mod trust;

pub use shared::{HOST, Host, HostError};
