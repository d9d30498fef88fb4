//! How much of a layer, and of all of them, is kept.
//!
//! Layers come from anywhere. What is counted is the text and the values
//! around it, so that many short things weigh as well.

use std::io;

/// Bytes that are kept of one layer. A system with 5,000 packages has less
/// than 2 MiB.
const LAYER: usize = 8 << 20;
/// Bytes of a list of packages; no reader takes a larger document.
const DOCUMENT: usize = 16 << 20;
/// Bytes of a name, a version, or whatever else is a word.
pub(super) const WORD: usize = 256;
/// Bytes of a licence.
pub(super) const LICENCE: usize = 1 << 10;

/// More than any honest layer says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Excess(String);

fn excess(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Excess(problem))
}

/// What a layer says too much of; an error of another kind is given back.
pub(super) fn problem(error: io::Error) -> io::Result<String> {
    match error.get_ref() {
        Some(inner) if inner.is::<Excess>() => Ok(inner.to_string()),
        _ => Err(error),
    }
}

/// What may still be kept.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    refusal: &'static str,
}

impl Budget {
    pub(super) fn of_layer() -> Self {
        Self {
            left: LAYER,
            refusal: "a layer has more than 8 MiB of packages, licences and paths that matter",
        }
    }

    pub(super) fn of_document() -> Self {
        Self {
            left: DOCUMENT,
            refusal: "the list of packages would be larger than 16 MiB",
        }
    }

    /// Counts so many bytes as used.
    ///
    /// # Errors
    ///
    /// `InvalidData`: they are not left.
    pub(super) fn spend(&mut self, bytes: usize) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| excess(self.refusal.to_owned()))?;
        Ok(())
    }
}

/// A text of at most `limit` bytes.
///
/// # Errors
///
/// `InvalidData`: it is longer.
pub(super) fn short(text: &str, limit: usize, what: &str) -> io::Result<String> {
    if text.len() <= limit {
        return Ok(text.to_owned());
    }
    Err(excess(format!(
        "{what} has {} bytes, more than {limit}",
        text.len()
    )))
}
