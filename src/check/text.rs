//! An examination for people.

use std::fmt;

use super::{Counts, Examination, Examined, Outcome};
use crate::report::finding::Severity;

/// Always shown, passed or not: it is what users of a sealed host ask about.
const ALWAYS: &str = "egress.update-check";

impl Examination {
    /// Findings with evidence and remedy, what could not be checked, the
    /// update check, and the counts; with `all`, also what passed.
    pub fn text(&self, all: bool) -> String {
        let width = self
            .checks
            .iter()
            .map(|check| check.id.len())
            .max()
            .unwrap_or(0);
        let mut text: String = self
            .checks
            .iter()
            .map(|check| line(check, width, all || check.id == ALWAYS))
            .collect();
        text.push_str(&self.counts.to_string());
        text
    }
}

fn line(check: &Examined, width: usize, always: bool) -> String {
    let id = check.id;
    match &check.outcome {
        Outcome::Pass { evidence } if always => format!("ok     {id:width$}  {evidence}\n"),
        Outcome::NotApplicable { why } if always => format!("n/a    {id:width$}  {why}\n"),
        Outcome::Pass { .. } | Outcome::NotApplicable { .. } => String::new(),
        Outcome::CouldNotCheck { why } => {
            format!("?      {id:width$}  could not check: {why}\n")
        }
        Outcome::Finding(finding) => {
            let word = match finding.severity {
                Severity::Blocking => "BLOCK",
                Severity::Warning => "WARN",
            };
            let command = match &finding.remedy.command {
                Some(command) => format!("         {command}\n"),
                None => String::new(),
            };
            format!(
                "{word:5}  {id:width$}  {}\n       seen: {}\n       remedy: {}\n{command}",
                finding.message, finding.evidence, finding.remedy.text
            )
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ok {}, warnings {}, blocking {}, could not check {}",
            self.ok, self.warnings, self.blocking, self.could_not_check
        )
    }
}
