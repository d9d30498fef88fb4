//! Bundles: what to bundle (spec), what is inside (manifest), making and opening them.

pub mod manifest;
