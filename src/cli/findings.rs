//! Findings that decide whether a command may go on.

use super::Context;
use super::failure::{Failure, Kind};
use crate::report::event::{Level, notice};
use crate::report::finding::{Finding, Severity};

/// Says every warning, and fails with the blocking findings if there are any.
pub(super) fn refuse_if_blocked(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings {
        if finding.severity == Severity::Warning {
            notice(
                context.reporter.as_ref(),
                Level::Warning,
                &finding.id,
                format!("{} ({})", finding.message, finding.evidence),
            );
        }
    }
    let blocking: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocking)
        .collect();
    let Some(first) = blocking.first() else {
        return Ok(());
    };
    let mut failure = Failure::new(Kind::Blocked, first.message.clone()).cause(&first.evidence);
    for other in &blocking[1..] {
        failure = failure.cause(format!("also: {} ({})", other.message, other.evidence));
    }
    for finding in blocking {
        let remedy = &finding.remedy;
        failure = failure.hint(match &remedy.command {
            Some(command) => format!("{}: `{command}`", remedy.text),
            None => remedy.text.clone(),
        });
    }
    Err(failure)
}
