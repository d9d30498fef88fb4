//! An examination for people.

use std::fmt::{self, Write};

use super::examination::{Counts, Examination, Examined};
use super::outcome::Outcome;
use crate::report::finding::Severity;

/// Always shown, passed or not: it is what users of a sealed host ask about.
const ALWAYS: &str = "egress.update-check";
/// More checks than these with one cause are counted, not named.
const NAMED: usize = 4;

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
            .filter(|check| all || beneath(check).is_none())
            .map(|check| line(check, width, all || check.id == ALWAYS))
            .collect();
        if !all {
            text.push_str(&self.causes());
        }
        text.push_str(&self.counts.to_string());
        if !self.unproven.is_empty() && self.counts.blocking == 0 {
            let _ = write!(text, "\nnot proven: {}", which(&self.unproven));
        }
        text
    }

    /// One line for each thing that keeps checks from being made.
    fn causes(&self) -> String {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for check in &self.checks {
            let Some(why) = beneath(check) else {
                continue;
            };
            match groups.iter_mut().find(|(cause, _)| *cause == why) {
                Some((_, ids)) => ids.push(check.id),
                None => groups.push((why, vec![check.id])),
            }
        }
        let mut text = String::new();
        for (why, ids) in groups {
            let _ = writeln!(
                text,
                "?      could not check, because {why}: {}",
                which(&ids)
            );
        }
        text
    }
}

fn which(ids: &[&str]) -> String {
    if ids.len() > NAMED {
        format!("{} checks", ids.len())
    } else {
        ids.join(", ")
    }
}

/// What lies beneath a check that could not be made.
fn beneath(check: &Examined) -> Option<&str> {
    match &check.outcome {
        Outcome::CouldNotCheck {
            why,
            because_of: Some(_),
        } => Some(why),
        _ => None,
    }
}

fn line(check: &Examined, width: usize, always: bool) -> String {
    let id = check.id;
    match &check.outcome {
        Outcome::Pass { evidence } if always => format!("ok     {id:width$}  {evidence}\n"),
        Outcome::NotApplicable { why } if always => format!("n/a    {id:width$}  {why}\n"),
        Outcome::Pass { .. } | Outcome::NotApplicable { .. } => String::new(),
        Outcome::CouldNotCheck { why, because_of } => {
            let colon = if because_of.is_some() {
                ", because"
            } else {
                ":"
            };
            format!("?      {id:width$}  could not check{colon} {why}\n")
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
