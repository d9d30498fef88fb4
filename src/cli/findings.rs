//! Findings that decide whether a command may go on.

use super::Context;
use super::failure::{Failure, Kind};
use crate::check::Examination;
use crate::report::event::{Level, notice};
use crate::report::finding::{Finding, Severity};

/// Fails with the blocking findings if there are any; otherwise shows every
/// warning, and what could not be checked.
pub(super) fn refuse_if_blocked(
    context: &Context,
    examination: &Examination,
) -> Result<(), Failure> {
    let findings = examination.findings();
    for finding in &findings {
        if finding.severity == Severity::Warning {
            notice(
                context.reporter.as_ref(),
                Level::Warning,
                &finding.id,
                format!("{} ({})", finding.message, finding.evidence),
            );
        }
    }
    refuse(&findings)?;
    for (id, why) in examination.unchecked() {
        notice(
            context.reporter.as_ref(),
            Level::Warning,
            id,
            format!("could not check `{id}`: {why}"),
        );
    }
    Ok(())
}

/// Fails with the blocking findings if there are any; the rest was shown
/// before.
pub(super) fn refuse(findings: &[&Finding]) -> Result<(), Failure> {
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
