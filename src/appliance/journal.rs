//! `journal.jsonl`: one fsynced line when a run or a step begins and one when
//! it ends, so that whoever comes next knows how far a change got.
//!
//! Invariant: a line is on disk before the step it announces touches
//! anything. A power cut can leave half a line at the end; it is dropped.

use std::io::{self, Write};
use std::path::PathBuf;

use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bundle::manifest::Release;
use crate::oci::digest::Digest;
use crate::report::event::Outcome;
use crate::sys::fs::{make_dirs, sync_dir};

/// The journal of an appliance.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: Record,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A command began to change the appliance.
    RunBegin {
        /// `install`, `upgrade`, `uninstall`, …
        command: String,
        /// Bundle it works from.
        bundle: Option<Digest>,
        /// Release it works towards.
        release: Option<Release>,
        /// Version of lfctl.
        lfctl: String,
    },
    /// A step is about to change something.
    StepBegin {
        /// Its id.
        step: String,
    },
    /// A step ended.
    StepEnd {
        /// Its id.
        step: String,
        /// How.
        outcome: StepOutcome,
    },
    /// The command ended by itself, well or not.
    RunEnd {
        /// Whether it reached its goal.
        complete: bool,
    },
}

/// How a step ended, as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// Something was done.
    Done,
    /// Nothing was left to do.
    AlreadyDone,
    /// Left out on purpose.
    Skipped,
    /// It failed.
    Failed,
}

impl From<Outcome> for StepOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::AlreadyDone => Self::AlreadyDone,
            Outcome::Skipped => Self::Skipped,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// The last run, when it did not reach its goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The command.
    pub command: String,
    /// Bundle it worked from.
    pub bundle: Option<Digest>,
    /// Release it worked towards.
    pub release: Option<Release>,
    /// The step that began and did not end well, if one did.
    pub step: Option<String>,
    /// When it began.
    pub at: Timestamp,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends a line and waits until it is on disk.
    pub fn append(&self, what: Record) -> io::Result<()> {
        let dir = self
            .path
            .parent()
            .ok_or_else(|| io::Error::other("the journal has no directory"))?;
        make_dirs(dir)?;
        let is_new = !self.path.exists();
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let mut line = String::new();
        if !is_new && !ends_with_newline(&self.path)? {
            line.push('\n');
        }
        let entry = Entry {
            at: Timestamp::now(),
            what,
        };
        line.push_str(&serde_json::to_string(&entry)?);
        line.push('\n');
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if is_new {
            sync_dir(dir)?;
        }
        Ok(())
    }

    /// All lines; half a line that a power cut left is passed over.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The last run, if it did not reach its goal.
    pub fn unfinished(&self) -> io::Result<Option<Unfinished>> {
        Ok(unfinished(&self.entries()?))
    }
}

fn ends_with_newline(path: &std::path::Path) -> io::Result<bool> {
    Ok(fs::read(path)?.last().is_none_or(|byte| *byte == b'\n'))
}

fn parse(text: &str) -> Vec<Entry> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn unfinished(entries: &[Entry]) -> Option<Unfinished> {
    let mut last = None;
    for entry in entries {
        match &entry.what {
            Record::RunBegin {
                command,
                bundle,
                release,
                ..
            } => {
                last = Some(Unfinished {
                    command: command.clone(),
                    bundle: *bundle,
                    release: release.clone(),
                    step: None,
                    at: entry.at,
                });
            }
            Record::StepBegin { step } => {
                if let Some(run) = &mut last {
                    run.step = Some(step.clone());
                }
            }
            Record::StepEnd { outcome, .. } => {
                if let Some(run) = &mut last
                    && *outcome != StepOutcome::Failed
                {
                    run.step = None;
                }
            }
            Record::RunEnd { complete: true } => last = None,
            Record::RunEnd { complete: false } => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Record {
        Record::RunBegin {
            command: "install".to_owned(),
            bundle: Some(Digest::of(b"bundle")),
            release: None,
            lfctl: "0.1.0".to_owned(),
        }
    }

    fn step(step: &str) -> Record {
        Record::StepBegin {
            step: step.to_owned(),
        }
    }

    fn journal() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().join("state/journal.jsonl"));
        (dir, journal)
    }

    #[test]
    fn names_the_step_at_which_a_run_broke_off() {
        let (_dir, journal) = journal();
        assert_eq!(journal.unfinished().unwrap(), None);
        journal.append(begin()).unwrap();
        journal.append(step("load")).unwrap();
        journal
            .append(Record::StepEnd {
                step: "load".to_owned(),
                outcome: StepOutcome::Done,
            })
            .unwrap();
        journal.append(step("migrate")).unwrap();
        let run = journal.unfinished().unwrap().unwrap();
        assert_eq!(run.command, "install");
        assert_eq!(run.step.as_deref(), Some("migrate"));
    }

    #[test]
    fn a_complete_run_leaves_nothing_open() {
        let (_dir, journal) = journal();
        journal.append(begin()).unwrap();
        journal.append(Record::RunEnd { complete: true }).unwrap();
        assert_eq!(journal.unfinished().unwrap(), None);
    }

    #[test]
    fn half_a_line_is_passed_over_and_does_not_swallow_the_next() {
        let (_dir, journal) = journal();
        journal.append(begin()).unwrap();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(&journal.path)
            .unwrap();
        file.write_all(br#"{"at":"2026-01-01T00:0"#).unwrap();
        journal.append(step("migrate")).unwrap();
        assert_eq!(journal.entries().unwrap().len(), 2);
        let run = journal.unfinished().unwrap().unwrap();
        assert_eq!(run.step.as_deref(), Some("migrate"));
    }
}
