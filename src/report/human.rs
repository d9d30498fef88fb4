//! Events for people, on stderr: bars on a terminal, plain lines elsewhere.
//!
//! Where stderr is no terminal a step that takes long says so every ten
//! seconds, so that a log never looks stuck.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use console::style;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use super::event::{Event, Level, Outcome, Reporter, Unit};

const HEARTBEAT: Duration = Duration::from_secs(10);

/// Shows events to a person.
#[derive(Debug)]
pub struct Human {
    bars: Option<MultiProgress>,
    running: RefCell<BTreeMap<String, Running>>,
}

#[derive(Debug)]
struct Running {
    label: String,
    total: Option<u64>,
    unit: Unit,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Default for Human {
    fn default() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            bars: terminal.then(MultiProgress::new),
            running: RefCell::default(),
        }
    }
}

impl Human {
    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    fn bar(&self, label: &str, total: Option<u64>, unit: Unit) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let (bar, template) = match (total, unit) {
            (Some(total), Unit::Bytes) => (
                ProgressBar::new(total),
                "  {spinner} {msg:40} [{bar:24}] {bytes:>10} of {total_bytes:10} {bytes_per_sec}",
            ),
            (Some(total), _) => (
                ProgressBar::new(total),
                "  {spinner} {msg:40} [{bar:24}] {pos} of {len}",
            ),
            (None, _) => (ProgressBar::new_spinner(), "  {spinner} {msg:40} {elapsed}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        let bar = bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }

    fn progress(&self, id: &str, done: u64) {
        let mut running = self.running.borrow_mut();
        let Some(step) = running.get_mut(id) else {
            return;
        };
        if let Some(bar) = &step.bar {
            bar.set_position(done);
        } else if step.said.elapsed() >= HEARTBEAT {
            step.said = Instant::now();
            let text = match (step.total, step.unit) {
                (Some(total), Unit::Bytes) => {
                    format!(
                        "  … {}: {} of {}",
                        step.label,
                        HumanBytes(done),
                        HumanBytes(total)
                    )
                }
                (Some(total), _) => format!("  … {}: {done} of {total}", step.label),
                (None, _) => format!("  … {}", step.label),
            };
            self.line(&text);
        }
    }

    fn finished(&self, id: &str, outcome: Outcome, elapsed_ms: u64, detail: Option<&str>) {
        let Some(step) = self.running.borrow_mut().remove(id) else {
            return;
        };
        if let (Some(bar), Some(bars)) = (step.bar, &self.bars) {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
        let mark = match outcome {
            Outcome::Done => style("ok  ").green(),
            Outcome::AlreadyDone => style("same").dim(),
            Outcome::Skipped => style("skip").dim(),
            Outcome::Failed => style("FAIL").red().bold(),
        };
        let detail = detail.map(|text| format!("  {text}")).unwrap_or_default();
        let elapsed = Duration::from_millis(elapsed_ms).as_secs_f64();
        self.line(&format!(
            "  {} {:44} {elapsed:7.1} s{detail}",
            mark.for_stderr(),
            step.label
        ));
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
            } => {
                let step = Running {
                    label: label.clone(),
                    total: *total,
                    unit: *unit,
                    bar: self.bar(label, *total, *unit),
                    said: Instant::now(),
                };
                self.running.borrow_mut().insert(id.clone(), step);
            }
            Event::Progress { id, done } => self.progress(id, *done),
            Event::StepFinished {
                id,
                outcome,
                elapsed_ms,
                detail,
            } => self.finished(id, *outcome, *elapsed_ms, detail.as_deref()),
            Event::Notice { level, text, .. } => match level {
                Level::Info => self.line(&format!("  {text}")),
                Level::Warning => self.line(&format!(
                    "{} {text}",
                    style("warning:").yellow().bold().for_stderr()
                )),
            },
            Event::Started { .. } | Event::Finished { .. } => {}
        }
    }
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
            let _ = writeln!(
                std::io::stderr(),
                "{} {text}",
                style("warning:").yellow().bold().for_stderr()
            );
        }
    }
}
