//! Whose bundles this host accepts: the trusted keys, the revoked ones, and
//! how many holders have to sign.

mod policy;
mod store;

pub use policy::{Countersignature, TrustPolicy};
pub use store::{StoredKey, TrustChange, TrustStore};
