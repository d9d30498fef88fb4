//! Making checks, and what they came to together.

use serde::Serialize;

use super::definition::Check;
use super::outcome::Outcome;
use crate::facts::Facts;
use crate::report::finding::{Finding, Remedy, Severity};

/// A check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Examination {
    /// Name of the appliance.
    pub appliance: String,
    /// What is installed, or is about to be.
    pub release: String,
    /// When the facts were gathered.
    pub at: jiff::Timestamp,
    /// The checks in order.
    pub checks: Vec<Examined>,
    /// How many came to what.
    pub counts: Counts,
    /// Checks of the air gap and of the way of an event that could not be made.
    pub unproven: Vec<&'static str>,
}

/// How many checks came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Passed.
    pub ok: usize,
    pub warnings: usize,
    /// Blocking findings.
    pub blocking: usize,
    /// Could not be seen.
    pub could_not_check: usize,
    /// Make no sense here.
    pub not_applicable: usize,
}

/// Makes the checks.
pub fn examine(facts: &Facts, checks: &[&Check]) -> Examination {
    let proofs = checks.iter().filter(|check| check.is_proof);
    let proofs: Vec<_> = proofs.map(|check| check.id).collect();
    let checks: Vec<_> = checks
        .iter()
        .map(|check| Examined {
            id: check.id,
            title: check.title,
            outcome: check.judge(facts).redacted(&facts.subject.redactor),
        })
        .collect();
    Examination {
        appliance: facts.subject.name.clone(),
        release: facts.subject.release.to_string(),
        at: facts.now,
        counts: Counts::of(&checks),
        unproven: checks
            .iter()
            .filter(|check| proofs.contains(&check.id) && check.outcome.is_unknown())
            .map(|check| check.id)
            .collect(),
        checks,
    }
}

impl Examination {
    /// What does not hold, blocking findings first.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self
            .checks
            .iter()
            .filter_map(|check| match &check.outcome {
                Outcome::Finding(finding) => Some(finding),
                _ => None,
            })
            .collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    /// What to do about each finding.
    pub fn remedies_mut(&mut self) -> impl Iterator<Item = &mut Remedy> {
        let outcomes = self.checks.iter_mut().map(|check| &mut check.outcome);
        outcomes.filter_map(|outcome| match outcome {
            Outcome::Finding(finding) => Some(&mut finding.remedy),
            _ => None,
        })
    }

    /// What could not be checked, and why.
    pub fn unchecked(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::CouldNotCheck { why, .. } => Some((check.id, why.as_str())),
            _ => None,
        })
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
