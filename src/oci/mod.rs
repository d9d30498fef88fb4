//! OCI: digests, the image layout as a tar read by offset, the registry client.

pub mod digest;
