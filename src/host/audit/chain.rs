//! Walks the hash chain of an audit log.

use std::fmt;

use serde::Serialize;

use super::entry::{AuditEntry, Head};
use crate::oci::digest::Digest;

/// What a log holds, and whether it is whole.
#[derive(Debug)]
pub struct Chain {
    /// Its entries, the oldest first.
    pub entries: Vec<AuditEntry>,
    /// Lines, those that are torn included.
    pub lines: usize,
    /// Digest of the last entry.
    pub head: Option<Digest>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// Lines, from 1, that were not written to their end. The chain leads
    /// around them, so that nothing else is missing.
    pub torn: Vec<usize>,
}

/// How a log shows that somebody changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Problem {
    /// A line does not follow from the one before.
    Broken {
        /// Its number, from 1.
        line: usize,
    },
    /// Lines were taken off the end.
    Cut {
        /// Lines that are there.
        lines: usize,
        /// Lines that were written.
        written: usize,
    },
    /// The end is another than the one that was written.
    OtherEnd {
        /// The number of the line that was written last, from 1.
        line: usize,
    },
    /// The record of its end cannot be read.
    HeadUnreadable,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { line } => write!(
                f,
                "line {line} does not follow from the line before: a line was changed or removed"
            ),
            Self::Cut { lines, written } => write!(
                f,
                "{written} lines were written and {lines} are left: the end was cut off"
            ),
            Self::OtherEnd { line } => write!(
                f,
                "line {line} is not the one that was written: the end was replaced"
            ),
            Self::HeadUnreadable => write!(f, "the record of its last line is damaged"),
        }
    }
}

impl Chain {
    pub(super) fn walk(text: &str, head: Option<&serde_json::Result<Head>>) -> Self {
        let mut chain = Self {
            entries: Vec::new(),
            lines: text.lines().count(),
            head: None,
            problem: None,
            torn: Vec::new(),
        };
        // Lines that are no entries, until the next entry accounts for them.
        let mut torn: Vec<(usize, &str)> = Vec::new();
        let mut digests = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let digest = Digest::of(line.as_bytes());
            digests.push(digest);
            let Ok(entry) = serde_json::from_str::<AuditEntry>(line) else {
                torn.push((number, line));
                continue;
            };
            if entry.previous == chain.head && entry.torn == digest_of(&torn) {
                chain.torn.extend(torn.iter().map(|(number, _)| number));
            } else {
                chain.broken(number);
            }
            torn.clear();
            chain.head = Some(digest);
            chain.entries.push(entry);
        }
        // The power failed while it was written; the next entry will say so.
        if text.ends_with('\n')
            && let Some((number, _)) = torn.first()
        {
            chain.broken(*number);
        } else {
            chain.torn.extend(torn.iter().map(|(number, _)| number));
        }
        chain.compare(&digests, head);
        chain
    }

    fn broken(&mut self, line: usize) {
        self.problem.get_or_insert(Problem::Broken { line });
    }

    /// Compares the end with what was written down of it. A log may be longer:
    /// the power may fail between the two writes.
    fn compare(&mut self, digests: &[Digest], head: Option<&serde_json::Result<Head>>) {
        let found = match head {
            // An older lfctl kept none.
            None => return,
            Some(Err(_)) => Problem::HeadUnreadable,
            Some(Ok(Head { lines, .. })) if *lines > digests.len() => Problem::Cut {
                lines: digests.len(),
                written: *lines,
            },
            Some(Ok(Head { lines, last })) => {
                let at = lines.checked_sub(1).and_then(|index| digests.get(index));
                if at == Some(last) {
                    return;
                }
                Problem::OtherEnd { line: *lines }
            }
        };
        self.problem.get_or_insert(found);
    }
}

fn digest_of(torn: &[(usize, &str)]) -> Option<Digest> {
    let lines: Vec<_> = torn.iter().map(|(_, line)| *line).collect();
    (!lines.is_empty()).then(|| Digest::of(lines.join("\n").as_bytes()))
}
