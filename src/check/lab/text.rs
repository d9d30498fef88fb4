//! The table as text.

use std::fmt::Write as _;

use super::table::{Cell, HealthCell, Lab};
use crate::facts::lab::Body;

impl std::fmt::Display for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::None => "nothing",
            Self::Null => "null",
            Self::Release => "release",
            Self::Error => "error",
            Self::Other => "other",
        })
    }
}

impl Lab {
    /// For people: two lines for each mode, the second with the appliance's
    /// settings, and what web logged without them.
    pub fn text(&self) -> String {
        let mut text = format!(
            "update check of {} ({}), without settings and with those of the appliance\n\
             {:<20} {:<8} {:<6} {:<8} {:>8}  {:<15} verdict\n",
            self.appliance, self.release, "mode", "", "status", "body", "seconds", "health"
        );
        for row in &self.modes {
            let _ = writeln!(
                text,
                "{:<20} {:<8} {}",
                row.mode,
                "without",
                line(&row.without)
            );
            let _ = writeln!(text, "{:<20} {:<8} {}", "", "with", line(&row.with));
            let log = row.without.log_line.as_deref().unwrap_or("nothing");
            let _ = writeln!(text, "{:<20} logged   {log}", "");
        }
        if !self.telemetry.is_empty() {
            text.push_str("usage telemetry: the first health call of 12 hours\n");
        }
        for row in &self.telemetry {
            let _ = writeln!(text, "{:<20} {:<8} {}", row.mode, "on", row.on.words());
            let _ = writeln!(text, "{:<20} {:<8} {}", "", "with", row.with.words());
        }
        for finding in &self.findings {
            let _ = writeln!(text, "NOT AS IT MUST BE  {finding}");
        }
        let _ = match self.findings.len() {
            0 => writeln!(
                text,
                "in all {} modes Langfuse behaves as known, and the appliance's settings keep it in",
                self.modes.len()
            ),
            count => writeln!(text, "{count} findings"),
        };
        text
    }
}

impl HealthCell {
    pub(super) fn words(&self) -> String {
        let status = self
            .status
            .map_or_else(|| "none".to_owned(), |status| status.to_string());
        format!("{status} after {} s", seconds(self.elapsed_ms))
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn line(cell: &Cell) -> String {
    let status = cell
        .status
        .map_or_else(|| "none".to_owned(), |status| status.to_string());
    let seconds = seconds(cell.elapsed_ms);
    let health = cell.health_words();
    format!(
        "{status:<6} {:<8} {seconds:>8}  {health:<15} {}",
        cell.body, cell.verdict
    )
}
