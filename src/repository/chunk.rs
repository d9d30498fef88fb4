//! Cuts a stream where its content says so, at the places where restic cuts
//! it: a byte put in at the front of a file changes one chunk, not all.

use std::io::{self, Read};

use rustic_cdc::{Polynom64, Rabin64, RollingHash64};

/// No chunk but the last of a file is smaller.
const MIN: usize = 512 * 1024;
/// No chunk is larger.
pub(super) const MAX: usize = 8 * 1024 * 1024;
/// A cut is where these bits of the rolling hash are zero: 1 MiB on average.
const MASK: u64 = (1 << 20) - 1;
/// Bytes that the rolling hash sees, as a power of two.
const WINDOW_BITS: u32 = 6;
const WINDOW: usize = 1 << WINDOW_BITS;
/// Bytes read at once beyond the smallest chunk.
const STEP: usize = 256 * 1024;

/// Cuts streams, one after another.
#[derive(Debug)]
pub(super) struct Chunker {
    rabin: Rabin64,
    /// Bytes read beyond the last cut.
    rest: Vec<u8>,
}

impl Chunker {
    pub(super) fn new(polynomial: Polynom64) -> Self {
        Self {
            rabin: Rabin64::new_with_polynom(WINDOW_BITS, &polynomial),
            rest: Vec::new(),
        }
    }

    /// Forgets what is left of the stream before.
    pub(super) fn restart(&mut self) {
        self.rest.clear();
    }

    /// The next chunk of `source`; `None` at its end.
    pub(super) fn next(&mut self, source: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = std::mem::take(&mut self.rest);
        let mut ended = fill(&mut chunk, source, MIN)?;
        if ended || chunk.len() < MIN {
            chunk.shrink_to_fit();
            return Ok((!chunk.is_empty()).then_some(chunk));
        }
        let window = &chunk[MIN - WINDOW..MIN];
        // Prefilling takes all of the window but its last byte.
        self.rabin
            .reset_and_prefill_window(&mut window.iter().copied());
        self.rabin.slide(chunk[MIN - 1]);
        let mut seen = MIN;
        loop {
            if let Some(cut) = self.cut(&chunk, seen) {
                self.rest.extend_from_slice(&chunk[cut..]);
                chunk.truncate(cut);
                return Ok(Some(chunk));
            }
            if ended {
                return Ok(Some(chunk));
            }
            seen = chunk.len();
            ended = fill(&mut chunk, source, seen + STEP)?;
        }
    }

    /// Where to cut, if it is within the bytes from `seen` on.
    fn cut(&mut self, chunk: &[u8], seen: usize) -> Option<usize> {
        let end = chunk.len().min(MAX);
        for (at, byte) in chunk[seen..end].iter().enumerate() {
            if self.rabin.hash & MASK == 0 {
                return Some(seen + at);
            }
            self.rabin.slide(*byte);
        }
        (end == MAX).then_some(end)
    }
}

/// Reads until `chunk` holds `size` bytes; true at the end of the source.
fn fill(chunk: &mut Vec<u8>, source: &mut dyn Read, size: usize) -> io::Result<bool> {
    let missing = size.saturating_sub(chunk.len());
    if missing == 0 {
        return Ok(false);
    }
    chunk.reserve(missing);
    let read = source.take(missing as u64).read_to_end(chunk)?;
    Ok(read < missing)
}
