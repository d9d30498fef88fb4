//! `journal.jsonl`: one fsynced line when a run or a step begins, ends or is
//! undone, so that the next command knows how far a change got.
//!
//! ```text
//! {"schema":2,"run":"5f0c…","at":"…","record":"step-begin","step":"load", …}
//! ```
//!
//! Invariant: a line is on disk before the step it announces touches
//! anything. A power cut can leave half a line at the end: that line is
//! dropped. Any other damaged line, and a line of a newer schema, stops the
//! reader: what it does not understand may be a change that is still open.

mod error;
mod file;
mod format;
mod record;
#[cfg(test)]
mod tests;
mod unfinished;

pub use error::JournalError;
pub use file::{Journal, new_run};
pub use record::{Entry, OnBreak, Record, RunOutcome, SCHEMA, StepOutcome};
pub use unfinished::{COMMIT, RECOVER, Unfinished};
