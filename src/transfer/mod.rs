//! Moving a bundle's blobs from where they lie to where they are wanted.

pub mod load;
pub mod plan;
