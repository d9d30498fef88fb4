//! What a check came to.

use serde::Serialize;

use crate::facts::Fact;
use crate::report::finding::{Finding, Remedy, Severity};
use crate::report::text::visible;
use crate::stack::secret::Redactor;

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    NotApplicable { why: String },
    /// What it looks at could not be seen.
    CouldNotCheck {
        why: String,
        /// The check that tells of what lies beneath, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        because_of: Option<&'static str>,
    },
}

impl Outcome {
    /// Whether the check could not be made.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::CouldNotCheck { .. })
    }

    pub(super) fn pass(evidence: impl Into<String>) -> Self {
        Self::Pass {
            evidence: evidence.into(),
        }
    }

    pub(super) fn not_applicable(why: impl Into<String>) -> Self {
        Self::NotApplicable { why: why.into() }
    }

    pub(super) fn found(
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

    pub(super) fn blocking(
        message: impl Into<String>,
        evidence: impl Into<String>,
        remedy: Remedy,
    ) -> Self {
        Self::found(Severity::Blocking, message, evidence, remedy)
    }

    pub(super) fn warning(
        message: impl Into<String>,
        evidence: impl Into<String>,
        remedy: Remedy,
    ) -> Self {
        Self::found(Severity::Warning, message, evidence, remedy)
    }

    /// The same without secrets: what programs print and answer is quoted.
    pub(super) fn redacted(mut self, redactor: &Redactor) -> Self {
        let quoted = match &mut self {
            Self::Pass { evidence } | Self::Finding(Finding { evidence, .. }) => evidence,
            Self::NotApplicable { why } | Self::CouldNotCheck { why, .. } => why,
        };
        *quoted = visible(&redactor.redact(quoted)).into_owned();
        self
    }
}

/// What lies beneath a check and keeps it from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Such as `web is down`.
    pub what: String,
    /// The check that tells of it.
    pub told_by: &'static str,
}

/// Why a check could not be made.
#[derive(Debug)]
pub(super) enum Unknown {
    /// A fact that it needs is not known.
    Fact(String),
    /// Something beneath it is down.
    Beneath(Cause),
}

impl Unknown {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self::Fact(why.into())
    }
}

/// The value of a fact, or the end of the check.
pub(super) fn want<T>(fact: &Fact<T>) -> Result<&T, Unknown> {
    fact.as_result().map_err(Unknown::new)
}
