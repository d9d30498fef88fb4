//! What a check is.

use serde::Serialize;

use super::cause::{Beneath, beneath, broke_off};
use super::outcome::{Outcome, Unknown};
use crate::facts::{Facts, Probe};

/// When a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before a change.
    Before,
    /// On what is installed.
    After,
    /// On either.
    Both,
}

/// One of the two occasions for checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before a change.
    Before,
    /// On what is installed.
    After,
}

impl When {
    /// Whether it includes an occasion.
    pub fn includes(self, phase: Phase) -> bool {
        match self {
            Self::Both => true,
            Self::Before => phase == Phase::Before,
            Self::After => phase == Phase::After,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name, such as `egress.update-check`.
    pub id: &'static str,
    /// Names that it had before.
    pub aliases: &'static [&'static str],
    /// What holds when it passes.
    pub title: &'static str,
    /// When it is made.
    pub when: When,
    /// The questions it needs answers to.
    pub probes: &'static [Probe],
    /// Whether it proves what the operator answers for: that nothing leaves, or
    /// that events arrive. Not having been made is then a failure.
    pub is_proof: bool,
    beneath: &'static [Beneath],
    run: fn(&Facts) -> Result<Outcome, Unknown>,
}

impl Check {
    pub(super) const fn new(
        id: &'static str,
        title: &'static str,
        when: When,
        run: fn(&Facts) -> Result<Outcome, Unknown>,
    ) -> Self {
        Self {
            id,
            aliases: &[],
            title,
            when,
            probes: &[],
            is_proof: false,
            beneath: &[],
            run,
        }
    }

    /// Names that it had before.
    pub(super) const fn formerly(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The questions it needs answers to.
    pub(super) const fn asks(mut self, probes: &'static [Probe]) -> Self {
        self.probes = probes;
        self
    }

    /// It proves what the operator answers for.
    pub(super) const fn proves(mut self) -> Self {
        self.is_proof = true;
        self
    }

    /// What must be up for its facts to be known.
    pub(super) const fn on(mut self, beneath: &'static [Beneath]) -> Self {
        self.beneath = beneath;
        self
    }

    /// The group it belongs to, such as `egress`.
    pub fn group(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }

    /// Whether `name` is its id, one of its former names, or its group.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.group() == name || self.aliases.contains(&name)
    }

    /// Judges the facts.
    pub fn judge(&self, facts: &Facts) -> Outcome {
        let unknown = match (self.run)(facts) {
            Ok(Outcome::Finding(mut finding)) => {
                self.id.clone_into(&mut finding.id);
                return Outcome::Finding(finding);
            }
            Ok(outcome) => return outcome,
            Err(unknown) => unknown,
        };
        let (why, cause) = match unknown {
            Unknown::Beneath(cause) => (cause.what.clone(), Some(cause)),
            Unknown::Fact(why) => match beneath(facts, self.beneath).or_else(|| broke_off(facts)) {
                Some(cause) => (cause.what.clone(), Some(cause)),
                None => (why, None),
            },
        };
        Outcome::CouldNotCheck {
            why,
            because_of: cause.map(|cause| cause.told_by),
        }
    }
}
