//! What several topics share.

pub(crate) mod bundle;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod room;
