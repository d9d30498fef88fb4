//! Judges what was gathered: a list of small checks.
//!
//! Checks are pure: they take [`Facts`] and do nothing else. A fact that is
//! not known makes "could not check", which is neither passed nor failed; no
//! check can stop another. What each check means and how to mend what it
//! finds is in `docs/doctor.md`, and a test holds that page to this list.

mod checks;
mod data;
mod egress;
mod engine;
mod environment;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
mod host;
mod stack;
mod text;

pub mod preflight;

pub use checks::CHECKS;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::facts::{Fact, Facts, Probe};
use crate::report::finding::{Finding, Remedy, Severity};
use crate::stack::secret::Redactor;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name, such as `egress.update-check`.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// The questions it needs answers to.
    pub probes: &'static [Probe],
    run: fn(&Facts) -> Result<Outcome, Unknown>,
}

impl Check {
    const fn new(
        id: &'static str,
        title: &'static str,
        probes: &'static [Probe],
        run: fn(&Facts) -> Result<Outcome, Unknown>,
    ) -> Self {
        Self {
            id,
            title,
            probes,
            run,
        }
    }

    /// Judges the facts.
    pub fn judge(&self, facts: &Facts) -> Outcome {
        match (self.run)(facts) {
            Ok(Outcome::Finding(mut finding)) => {
                self.id.clone_into(&mut finding.id);
                Outcome::Finding(finding)
            }
            Ok(outcome) => outcome,
            Err(Unknown(why)) => Outcome::CouldNotCheck { why },
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Pass {
        /// What was seen.
        evidence: String,
    },
    /// It does not.
    Finding(Finding),
    /// It makes no sense for this appliance.
    NotApplicable {
        /// Why.
        why: String,
    },
    /// What it looks at could not be seen.
    CouldNotCheck {
        /// Why.
        why: String,
    },
}

impl Outcome {
    fn pass(evidence: impl Into<String>) -> Self {
        Self::Pass {
            evidence: evidence.into(),
        }
    }

    /// The same without secrets: what programs print and answer is quoted.
    fn redacted(mut self, redactor: &Redactor) -> Self {
        let quoted = match &mut self {
            Self::Pass { evidence } | Self::Finding(Finding { evidence, .. }) => evidence,
            Self::NotApplicable { why } | Self::CouldNotCheck { why } => why,
        };
        *quoted = redactor.redact(quoted);
        self
    }

    fn not_applicable(why: impl Into<String>) -> Self {
        Self::NotApplicable { why: why.into() }
    }

    fn found(
        severity: Severity,
        message: impl Into<String>,
        evidence: impl Into<String>,
        remedy: Remedy,
    ) -> Self {
        Self::Finding(Finding {
            id: String::new(),
            severity,
            message: message.into(),
            evidence: evidence.into(),
            remedy,
        })
    }

    fn blocking(message: impl Into<String>, evidence: impl Into<String>, remedy: Remedy) -> Self {
        Self::found(Severity::Blocking, message, evidence, remedy)
    }

    fn warning(message: impl Into<String>, evidence: impl Into<String>, remedy: Remedy) -> Self {
        Self::found(Severity::Warning, message, evidence, remedy)
    }
}

/// A fact that a check needs is not known.
#[derive(Debug)]
struct Unknown(String);

/// The value of a fact, or the end of the check.
fn want<T>(fact: &Fact<T>) -> Result<&T, Unknown> {
    fact.as_result().map_err(|why| Unknown(why.to_owned()))
}

/// A check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Name of the check.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Examination {
    /// Name of the appliance.
    pub appliance: String,
    /// What is installed.
    pub release: String,
    /// When it was looked at.
    pub at: jiff::Timestamp,
    /// The checks in order.
    pub checks: Vec<Examined>,
    /// How many came to what.
    pub counts: Counts,
}

/// How many checks came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Passed.
    pub ok: usize,
    /// Warnings.
    pub warnings: usize,
    /// Blocking findings.
    pub blocking: usize,
    /// Could not be seen.
    pub could_not_check: usize,
    /// Make no sense here.
    pub not_applicable: usize,
}

/// The checks of these names; all of them when none is named. A name may be
/// that of a group, such as `egress`.
///
/// # Errors
///
/// The first name that is neither.
pub fn select(only: &[String]) -> Result<Vec<&'static Check>, String> {
    let group = |id: &'static str| id.split('.').next().unwrap_or(id);
    let fits = |check: &Check, name: &str| check.id == name || group(check.id) == name;
    if let Some(stranger) = only
        .iter()
        .find(|name| !CHECKS.iter().any(|check| fits(check, name)))
    {
        return Err(stranger.clone());
    }
    Ok(CHECKS
        .iter()
        .filter(|check| only.is_empty() || only.iter().any(|name| fits(check, name)))
        .collect())
}

/// The questions that these checks need answers to.
pub fn probes(checks: &[&Check]) -> BTreeSet<Probe> {
    checks
        .iter()
        .flat_map(|check| check.probes)
        .copied()
        .collect()
}

/// Runs the checks.
pub fn examine(facts: &Facts, checks: &[&Check]) -> Examination {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| Examined {
            id: check.id,
            title: check.title,
            outcome: check.judge(facts).redacted(&facts.installed.redactor),
        })
        .collect();
    Examination {
        appliance: facts.installed.name.clone(),
        release: facts.installed.release.to_string(),
        at: facts.now,
        counts: Counts::of(&checks),
        checks,
    }
}

impl Counts {
    fn of(checks: &[Examined]) -> Self {
        let mut counts = Self::default();
        for check in checks {
            let count = match &check.outcome {
                Outcome::Pass { .. } => &mut counts.ok,
                Outcome::Finding(finding) if finding.severity == Severity::Blocking => {
                    &mut counts.blocking
                }
                Outcome::Finding(_) => &mut counts.warnings,
                Outcome::NotApplicable { .. } => &mut counts.not_applicable,
                Outcome::CouldNotCheck { .. } => &mut counts.could_not_check,
            };
            *count += 1;
        }
        counts
    }
}

/// A command of the engine that runs the stack.
fn engine_command(facts: &Facts, arguments: &str) -> String {
    let kind = facts
        .engine
        .known()
        .map_or_else(|| "docker".to_owned(), |engine| engine.kind.to_string());
    format!("{kind} {arguments}")
}

/// The remedy for whatever differs from what was installed.
fn install_again(facts: &Facts, text: &str) -> Remedy {
    Remedy::command(
        text,
        format!(
            "lfctl install --offline --name {} BUNDLE",
            facts.installed.name
        ),
    )
}

/// The remedy that begins with reading what a service wrote.
fn read_logs(facts: &Facts, service: &str, text: &str) -> Remedy {
    Remedy::command(
        text,
        format!("lfctl logs --name {} {service}", facts.installed.name),
    )
}

#[cfg(test)]
mod tests;
