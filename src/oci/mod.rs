//! OCI: digests, the image layout as a tar read by offset, the registry client.

pub mod archive;
pub mod blob;
pub mod digest;
pub mod image;
pub mod index;
pub mod layer;
pub mod local;
#[cfg(feature = "pull")]
pub mod registry;
