//! Events as JSON lines on stdout, for programs.

use std::io::Write;

use super::event::{Event, Reporter};

/// Writes each event as one line of JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonLines;

impl Reporter for JsonLines {
    fn event(&self, event: &Event) {
        let mut stdout = std::io::stdout().lock();
        // A reader that went away does not stop the work it was watching.
        if let Ok(line) = serde_json::to_string(event) {
            let _ = writeln!(stdout, "{line}");
        }
    }
}
