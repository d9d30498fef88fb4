//! What happens, as values. Core code emits events; renderers show them.
//!
//! A leaf: it depends on nothing else in the crate, and anyone may emit.
//! Only [`Event::Progress`] may be dropped or thinned by a renderer.

use serde::Serialize;

/// Version of the event stream that `--json` writes.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A command began.
    Started {
        /// Version of this stream.
        schema: u32,
        /// The command, such as `install`.
        command: String,
        /// Version of lfctl.
        version: String,
    },
    /// A step began.
    StepStarted {
        /// Identifies the step within this run.
        id: String,
        /// What it does, in the operator's words.
        label: String,
        /// How much there is to do, where known.
        total: Option<u64>,
        /// What `total` counts.
        unit: Unit,
    },
    /// A step moved on.
    Progress {
        /// The step.
        id: String,
        /// How much is done.
        done: u64,
    },
    /// A step ended.
    StepFinished {
        /// The step.
        id: String,
        /// How it ended.
        outcome: Outcome,
        /// Milliseconds it took.
        elapsed_ms: u64,
        /// What there is to say about the result, such as a measured value.
        detail: Option<String>,
    },
    /// Something worth knowing that is no step.
    Notice {
        /// How serious it is.
        level: Level,
        /// A stable name for programs.
        code: String,
        /// The text for people.
        text: String,
    },
    /// A command ended.
    Finished {
        /// The exit code.
        exit_code: u8,
        /// What went wrong, if anything did.
        error: Option<ErrorReport>,
    },
}

/// What the numbers of a step count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Items,
    /// Nothing countable.
    None,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done now.
    Done,
    /// There was nothing to do.
    AlreadyDone,
    /// It was left out on purpose.
    Skipped,
    /// It failed.
    Failed,
}

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the record.
    Info,
    /// Someone should look.
    Warning,
}

/// An error as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// What went wrong.
    pub message: String,
    /// Why, from the outside in.
    pub causes: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

/// Takes events. Renderers implement it; core code gets `&dyn Reporter`.
pub trait Reporter {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// A reporter that drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _event: &Event) {}
}

/// A running step. Dropping it without [`Step::finish`] reports a failure.
pub struct Step<'a> {
    reporter: &'a dyn Reporter,
    id: String,
    started: std::time::Instant,
    finished: bool,
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<'a> Step<'a> {
    /// Begins a step without a known size.
    pub fn start(reporter: &'a dyn Reporter, id: &str, label: &str) -> Self {
        Self::sized(reporter, id, label, None, Unit::None)
    }

    /// Begins a step of a known size.
    pub fn sized(
        reporter: &'a dyn Reporter,
        id: &str,
        label: &str,
        total: Option<u64>,
        unit: Unit,
    ) -> Self {
        reporter.event(&Event::StepStarted {
            id: id.to_owned(),
            label: label.to_owned(),
            total,
            unit,
        });
        Self {
            reporter,
            id: id.to_owned(),
            started: std::time::Instant::now(),
            finished: false,
        }
    }

    /// Reports how much is done in all.
    pub fn progress(&self, done: u64) {
        self.reporter.event(&Event::Progress {
            id: self.id.clone(),
            done,
        });
    }

    /// Ends the step.
    pub fn finish(mut self, outcome: Outcome, detail: Option<String>) {
        self.end(outcome, detail);
    }

    fn end(&mut self, outcome: Outcome, detail: Option<String>) {
        self.finished = true;
        self.reporter.event(&Event::StepFinished {
            id: self.id.clone(),
            outcome,
            elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            detail,
        });
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.end(Outcome::Failed, None);
        }
    }
}

/// Says something that is no step.
pub fn notice(reporter: &dyn Reporter, level: Level, code: &str, text: impl Into<String>) {
    reporter.event(&Event::Notice {
        level,
        code: code.to_owned(),
        text: text.into(),
    });
}
