//! How far sending is: each image, and all of them.

use std::cell::Cell;

use crate::report::event::{Reporter, Step, StepStatus, Unit};

/// All images that are sent, as one step.
pub(super) struct Whole<'a> {
    step: Step<'a>,
    done: Cell<u64>,
}

impl<'a> Whole<'a> {
    /// Begins to send so many images, whose archives have so many bytes.
    pub(super) fn start(reporter: &'a dyn Reporter, images: usize, bytes: u64) -> Self {
        let label = match images {
            1 => "load 1 image".to_owned(),
            count => format!("load {count} images"),
        };
        Self {
            step: Step::sized(reporter, "load", &label, Some(bytes), Unit::Bytes),
            done: Cell::default(),
        }
    }

    /// All of them are in the engine.
    pub(super) fn finish(self) {
        self.step.finish(StepStatus::Done, None);
    }

    /// One image has `now` bytes in the engine, and had `before`.
    fn moved(&self, before: u64, now: u64) {
        let done = self.done.get().saturating_sub(before) + now;
        self.done.set(done);
        self.step.progress(done);
    }
}

/// One image that is sent, as a step of its own and a part of the whole.
pub(super) struct Part<'a> {
    step: Step<'a>,
    whole: &'a Whole<'a>,
    /// Bytes that the engine has already.
    left_out: u64,
    counted: Cell<u64>,
}

impl<'a> Part<'a> {
    /// Begins one image of which the engine has `left_out` bytes already.
    pub(super) fn new(step: Step<'a>, whole: &'a Whole<'a>, left_out: u64) -> Self {
        Self {
            step,
            whole,
            left_out,
            counted: Cell::default(),
        }
    }

    /// The image is in the engine.
    pub(super) fn finish(self, detail: Option<String>) {
        self.step.finish(StepStatus::Done, detail);
    }

    /// So many bytes were sent.
    pub(super) fn progress(&self, sent: u64) {
        let now = self.left_out + sent;
        if now == self.counted.get() {
            return;
        }
        self.step.progress(sent);
        self.whole.moved(self.counted.replace(now), now);
    }
}
