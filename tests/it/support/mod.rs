//! What several topics share.

pub(crate) mod appliance;
pub(crate) mod bundle;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod outside;
pub(crate) mod podman;
#[cfg(feature = "pull")]
pub(crate) mod registry;
pub(crate) mod room;
pub(crate) mod terminal;
