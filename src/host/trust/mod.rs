//! Whose bundles this host accepts: the trusted keys, the revoked ones, and
//! how many holders have to sign.

mod policy;
mod signatures;
mod store;
#[cfg(test)]
mod tests;

pub use policy::TrustPolicy;
pub use signatures::Countersignature;
pub use store::{KEY_LIMIT, StoredKey, TrustChange, TrustStore};
