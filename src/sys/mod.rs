//! The operating system: files that are written whole or not at all, disks,
//! processes, paths. The only layer that writes files.

pub mod disk;
pub mod fs;
pub mod host;
pub mod http1;
pub mod json;
pub mod masked;
pub mod partial;
pub mod partial_set;
pub mod paths;
pub mod point;
pub mod span;
pub mod stream;
pub mod text;
pub mod versioned;
