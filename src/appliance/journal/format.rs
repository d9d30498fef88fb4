//! The lines of the journal, in both of its schemas.

use std::path::Path;

use serde::Deserialize;

use super::error::JournalError;
use super::record::{Entry, OnBreak, Record, RunOutcome, SCHEMA, StepOutcome};
use crate::oci::digest::Digest;
use crate::stack::release::Release;

/// Bytes up to and with the last line feed.
pub(super) fn whole_lines(bytes: &[u8]) -> u64 {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |at| at as u64 + 1)
}

pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Entry>, JournalError> {
    let end = usize::try_from(whole_lines(bytes)).unwrap_or(bytes.len());
    let mut entries = Vec::new();
    let mut damaged = None;
    for (index, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        match parse_line(line) {
            Line::Entry(entry) => {
                // lfctl 0.1.0 put a line feed behind half a line.
                if let Some(line) = damaged.take()
                    && entry.schema > 1
                {
                    return Err(damage(path, line));
                }
                entries.push(*entry);
            }
            Line::Newer(schema) => {
                return Err(JournalError::Newer {
                    path: path.to_owned(),
                    line: number,
                    schema,
                });
            }
            Line::Damaged => {
                if let Some(line) = damaged.replace(number) {
                    return Err(damage(path, line));
                }
            }
        }
    }
    match damaged {
        Some(line) => Err(damage(path, line)),
        None => Ok(entries),
    }
}

fn damage(path: &Path, line: usize) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        line,
    }
}

enum Line {
    Entry(Box<Entry>),
    Newer(u64),
    Damaged,
}

fn parse_line(line: &[u8]) -> Line {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<u64>,
    }
    let Ok(head) = serde_json::from_slice::<Head>(line) else {
        return Line::Damaged;
    };
    let entry = match head.schema {
        Some(schema) if schema > u64::from(SCHEMA) => return Line::Newer(schema),
        Some(_) => serde_json::from_slice(line).ok(),
        None => serde_json::from_slice::<First>(line).ok().map(Entry::from),
    };
    entry.map_or(Line::Damaged, |entry| Line::Entry(Box::new(entry)))
}

/// A line of schema 1, which had neither schema nor run.
#[derive(Deserialize)]
struct First {
    at: jiff::Timestamp,
    #[serde(flatten)]
    what: FirstRecord,
}

#[derive(Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum FirstRecord {
    RunBegin {
        command: String,
        bundle: Option<Digest>,
        release: Option<Release>,
        lfctl: String,
    },
    StepBegin {
        step: String,
    },
    StepEnd {
        step: String,
        outcome: StepOutcome,
    },
    RunEnd {
        complete: bool,
    },
}

impl From<First> for Entry {
    fn from(first: First) -> Self {
        let what = match first.what {
            FirstRecord::RunBegin {
                command,
                bundle,
                release,
                lfctl,
            } => Record::RunBegin {
                command,
                bundle,
                release,
                lfctl,
                on_break: OnBreak::Resume,
            },
            FirstRecord::StepBegin { step } => Record::StepBegin {
                step,
                what: serde_json::Value::Null,
            },
            FirstRecord::StepEnd { step, outcome } => Record::StepEnd { step, outcome },
            FirstRecord::RunEnd { complete } => Record::RunEnd {
                outcome: if complete {
                    RunOutcome::Complete
                } else {
                    RunOutcome::Failed
                },
            },
        };
        Self {
            schema: 1,
            run: String::new(),
            at: first.at,
            what,
        }
    }
}
