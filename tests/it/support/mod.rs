//! What several topics share.

pub(crate) mod appliance;
pub(crate) mod bundle;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod island;
pub(crate) mod machine;
pub(crate) mod outside;
pub(crate) mod podman;
#[cfg(feature = "pull")]
pub(crate) mod registry;
pub(crate) mod schema;
pub(crate) mod screen;
pub(crate) mod small_disk;
pub(crate) mod stores;
pub(crate) mod terminal;
