//! Fields of headers, and what is wrong with them.

use std::io;

/// A layer that is not a tar from some entry on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MalformedTar(String);

/// A text that ends with its first zero byte.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// [`MalformedTar`] as an I/O error.
pub(super) fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, MalformedTar(problem.to_owned()))
}
