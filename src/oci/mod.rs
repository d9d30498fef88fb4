//! OCI: digests, the image layout as a tar read by offset, the registry client.

pub mod archive;
pub mod blob;
pub mod digest;
pub mod image;
pub mod layer;
#[cfg(feature = "pull")]
pub mod registry;
