//! What happens, as values. Core code emits events; renderers show them.
//!
//! A leaf: it depends on nothing else in the crate, and anyone may emit.
//! Only [`Event::Progress`] may be dropped or thinned by a renderer. A
//! [`Step`] emits at most ten of them a second, and always the last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::text::visible;

/// Version of the event stream that `--json` writes.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        outcome: StepStatus,
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
        exit_code: u8,
        /// What went wrong, if anything did.
        error: Option<ErrorReport>,
    },
}

/// What the numbers of a step count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Bytes,
    /// Things.
    Items,
    /// Nothing countable.
    None,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It was done now.
    Done,
    /// There was nothing to do.
    AlreadyDone,
    /// It was left out on purpose.
    Skipped,
    Failed,
}

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the record.
    Info,
    /// Someone should look.
    Warning,
}

/// An error as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// Time between two reports of progress of one step.
const PACE: Duration = Duration::from_millis(100);

/// What a step has told of its progress.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    /// Not told yet.
    held_back: Option<u64>,
}

/// A running step. Dropping it without [`Step::finish`] reports a failure.
pub struct Step<'a> {
    reporter: &'a dyn Reporter,
    id: String,
    started: Instant,
    pace: Mutex<Pace>,
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
            started: Instant::now(),
            pace: Mutex::default(),
            finished: false,
        }
    }

    /// Reports how much is done in all. Call it as often as it changes: at
    /// most ten a second become events.
    pub fn progress(&self, done: u64) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.last.is_some_and(|last| last.elapsed() < PACE) {
            pace.held_back = Some(done);
            return;
        }
        *pace = Pace {
            last: Some(Instant::now()),
            held_back: None,
        };
        self.tell(done);
    }

    fn tell(&self, done: u64) {
        self.reporter.event(&Event::Progress {
            id: self.id.clone(),
            done,
        });
    }

    /// Ends the step.
    pub fn finish(mut self, outcome: StepStatus, detail: Option<String>) {
        self.end(outcome, detail);
    }

    fn end(&mut self, outcome: StepStatus, detail: Option<String>) {
        self.finished = true;
        let pace = self.pace.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = pace.held_back.take() {
            self.tell(done);
        }
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
            self.end(StepStatus::Failed, None);
        }
    }
}

/// Says something that is no step.
pub fn notice(reporter: &dyn Reporter, level: Level, code: &str, text: impl Into<String>) {
    reporter.event(&Event::Notice {
        level,
        code: code.to_owned(),
        text: visible(&text.into()).into_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Event>>);

    impl Reporter for Kept {
        fn event(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[test]
    fn at_most_ten_events_a_second_tell_of_progress_and_the_last_is_told() {
        let kept = Kept::default();
        let begun = Instant::now();
        let step = Step::sized(&kept, "a", "A", Some(40_000), Unit::Bytes);
        for done in 1..=40_000 {
            step.progress(done);
        }
        let most = begun.elapsed().as_millis() / PACE.as_millis() + 2;
        step.finish(StepStatus::Done, None);
        let events = kept.0.into_inner().unwrap();
        let told = |event: &Event| match event {
            Event::Progress { done, .. } => Some(*done),
            _ => None,
        };
        let told: Vec<_> = events.iter().filter_map(told).collect();
        assert!(told.len() as u128 <= most, "{} events", told.len());
        assert_eq!((told[0], told[told.len() - 1]), (1, 40_000));
        let ends = matches!(events.last(), Some(Event::StepFinished { .. }));
        assert!(ends, "{events:?}");
    }

    #[test]
    fn a_step_that_fails_tells_how_far_it_was() {
        let kept = Kept::default();
        let step = Step::start(&kept, "a", "A");
        step.progress(1);
        step.progress(2);
        drop(step);
        let events = kept.0.into_inner().unwrap();
        let progress = |done| Event::Progress {
            id: "a".to_owned(),
            done,
        };
        assert_eq!(events[1..3], [progress(1), progress(2)]);
    }
}
