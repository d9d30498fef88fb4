//! Version, names and limits of parts.

/// Version of the list that this lfctl writes and reads.
pub const FORMAT: u32 = 1;
/// Extension of the list.
pub const EXTENSION: &str = "parts";
/// Parts that a bundle may have. All of them are open at once, and a process
/// may have 1024 open files where nobody raised that.
pub const MOST: u64 = 500;
/// Bytes of the smallest part.
pub const SMALLEST: u64 = 64 << 10;
