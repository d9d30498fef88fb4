//! Events for people, on stderr: one line that moves on a terminal, plain
//! lines elsewhere.
//!
//! Where no line can move (a pipe, or a terminal with `TERM=dumb` or none) a
//! step that takes long reports every ten seconds, so that a log never looks
//! stuck.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::event::{Event, Level, Reporter, StepStatus, Unit};
use super::progress::Progress;
use super::wrap::wrap;

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time between two drawings of the line.
const FRAME: Duration = Duration::from_millis(200);
/// Columns of a step's label once it has ended, so that times stand below
/// each other.
const LABEL: usize = 44;

/// Shows events to a person.
#[derive(Debug)]
pub struct Human {
    /// Whether a line can be drawn over.
    moves: bool,
    shown: RefCell<Shown>,
}

/// The steps that run, and the line of the one that began first.
#[derive(Debug, Default)]
struct Shown {
    running: Vec<Running>,
    bar: Option<ProgressBar>,
}

#[derive(Debug)]
struct Running {
    id: String,
    label: String,
    done: u64,
    total: Option<u64>,
    unit: Unit,
    begun: Instant,
    reported: Instant,
}

impl Running {
    fn progress(&self) -> Progress<'_> {
        Progress {
            label: &self.label,
            done: self.done,
            total: self.total,
            in_bytes: self.unit == Unit::Bytes,
            elapsed: self.begun.elapsed(),
        }
    }

    /// A line on the terminal that redraws itself.
    fn draw(&self) -> ProgressBar {
        // Nothing is drawn before it is complete: each drawing of an
        // unfinished bar would stay on the screen.
        let bar = ProgressBar::with_draw_target(self.total, ProgressDrawTarget::hidden());
        let (label, in_bytes, begun) = (self.label.clone(), self.unit == Unit::Bytes, self.begun);
        let style = ProgressStyle::with_template("{line}").map(|style| {
            style.with_key(
                "line",
                move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let progress = Progress {
                        label: &label,
                        done: state.pos(),
                        total: state.len(),
                        in_bytes,
                        elapsed: begun.elapsed(),
                    };
                    // The last column is left free: some terminals wrap there.
                    let _ = out.write_str(&progress.line(columns().saturating_sub(1)));
                },
            )
        });
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_position(self.done);
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(FRAME);
        bar
    }
}

/// Columns of the terminal.
fn columns() -> usize {
    usize::from(Term::stderr().size().1)
}

/// Fits text to the terminal behind stderr: lines are broken between words
/// and continued `indent` columns further in. Elsewhere it stays as it is.
pub fn fit(text: &str, indent: usize) -> String {
    if std::io::stderr().is_terminal() {
        wrap(text, columns(), indent)
    } else {
        text.to_owned()
    }
}

/// As [`fit`], for the terminal behind stdout.
pub fn fit_stdout(text: &str, indent: usize) -> String {
    let stdout = Term::stdout();
    if stdout.is_term() {
        wrap(text, usize::from(stdout.size().1), indent)
    } else {
        text.to_owned()
    }
}

impl Default for Human {
    fn default() -> Self {
        Self {
            moves: !ProgressDrawTarget::stderr().is_hidden(),
            shown: RefCell::default(),
        }
    }
}

impl Human {
    fn line(&self, text: &str, indent: usize) {
        let text = fit(text, indent);
        match &self.shown.borrow().bar {
            Some(bar) => bar.println(text),
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    fn started(&self, running: Running) {
        let shown = &mut *self.shown.borrow_mut();
        if self.moves && shown.bar.is_none() {
            shown.bar = Some(running.draw());
        }
        shown.running.push(running);
    }

    fn progress(&self, id: &str, done: u64) {
        let mut report = None;
        {
            let shown = &mut *self.shown.borrow_mut();
            let Some(index) = shown.running.iter().position(|step| step.id == id) else {
                return;
            };
            let step = &mut shown.running[index];
            step.done = done;
            if let Some(bar) = &shown.bar {
                if index == 0 {
                    bar.set_position(done);
                }
            } else if index == 0 && step.reported.elapsed() >= HEARTBEAT {
                step.reported = Instant::now();
                report = Some(step.progress().log_line());
            }
        }
        if let Some(text) = report {
            self.line(&text, 4);
        }
    }

    fn finished(&self, id: &str, outcome: StepStatus, elapsed_ms: u64, detail: Option<&str>) {
        let step = {
            let shown = &mut *self.shown.borrow_mut();
            let Some(index) = shown.running.iter().position(|step| step.id == id) else {
                return;
            };
            if index == 0
                && let Some(bar) = shown.bar.take()
            {
                bar.finish_and_clear();
            }
            let step = shown.running.remove(index);
            if self.moves && shown.bar.is_none() {
                shown.bar = shown.running.first().map(Running::draw);
            }
            step
        };
        let mark = match outcome {
            StepStatus::Done => style("ok  ").green(),
            StepStatus::AlreadyDone => style("same").dim(),
            StepStatus::Skipped => style("skip").dim(),
            StepStatus::Failed => style("FAIL").red().bold(),
        };
        let elapsed = Duration::from_millis(elapsed_ms).as_secs_f64();
        let width = if std::io::stderr().is_terminal() {
            LABEL.min(columns() / 2)
        } else {
            LABEL
        };
        let mut text = format!("  {} {:width$}", mark.for_stderr(), step.label);
        let _ = write!(text, " {elapsed:5.1} s");
        if let Some(detail) = detail {
            let _ = write!(text, "  {detail}");
        }
        self.line(&text, 7);
    }
}

impl Reporter for Human {
    fn event(&self, event: &Event) {
        match event {
            Event::StepStarted {
                id,
                label,
                total,
                unit,
            } => self.started(Running {
                id: id.clone(),
                label: label.clone(),
                done: 0,
                total: *total,
                unit: *unit,
                begun: Instant::now(),
                reported: Instant::now(),
            }),
            Event::Progress { id, done } => self.progress(id, *done),
            Event::StepFinished {
                id,
                outcome,
                elapsed_ms,
                detail,
            } => self.finished(id, *outcome, *elapsed_ms, detail.as_deref()),
            Event::Notice { level, text, .. } => match level {
                Level::Info => self.line(&format!("  {text}"), 2),
                Level::Warning => self.line(&warning(text), 2),
            },
            Event::Started { .. } | Event::Finished { .. } => {}
        }
    }
}

fn warning(text: &str) -> String {
    let mark = style("warning:").yellow().bold();
    format!("{} {text}", mark.for_stderr())
}

/// Keeps only warnings: `--quiet`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Reporter for Quiet {
    fn event(&self, event: &Event) {
        if let Event::Notice {
            level: Level::Warning,
            text,
            ..
        } = event
        {
            let _ = writeln!(std::io::stderr(), "{}", fit(&warning(text), 2));
        }
    }
}
