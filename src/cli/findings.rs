//! Findings that decide whether a command may go on.

use super::Context;
use super::failure::{Failure, Kind};
use super::hint::Hints;
use crate::check::Examination;
use crate::report::event::{Level, notice};
use crate::report::finding::{Finding, Remedy, Severity};

/// Gives the commands in the remedies the flags of this call.
pub(super) fn with_flags(context: &Context, mut examination: Examination) -> Examination {
    context.hints.add_to_remedies(examination.remedies_mut());
    examination
}

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
                warning(finding, &context.hints),
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

fn warning(finding: &Finding, hints: &Hints) -> String {
    let remedy = hints.add_to(&remedy(&finding.remedy));
    format!(
        "{} ({})\n  remedy: {remedy}",
        finding.message, finding.evidence
    )
}

/// What to do, and the command for it.
fn remedy(remedy: &Remedy) -> String {
    match &remedy.command {
        Some(command) => format!("{}: `{command}`", remedy.text),
        None => remedy.text.clone(),
    }
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
        failure = failure.hint(remedy(&finding.remedy));
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Finding, Remedy, Severity, warning};
    use crate::check::faults::remedies;
    use crate::cli::Cli;
    use crate::cli::hint::{Flags, Hints};

    /// The commands of lfctl in a remedy.
    fn commands(remedy: &Remedy) -> Vec<String> {
        let quoted = remedy.text.split('`').skip(1).step_by(2);
        let all = quoted.chain(remedy.command.as_deref()).map(str::to_owned);
        all.filter(|command| command.starts_with("lfctl "))
            .collect()
    }

    #[test]
    fn a_warning_is_shown_with_its_remedy() {
        let call = ["lfctl", "install", "--root", "/srv/a b"];
        let hints = Hints {
            flags: Flags::of(&Cli::command().try_get_matches_from(call).unwrap()),
            parser: Cli::command,
        };
        let finding = Finding {
            id: "backup.last".to_owned(),
            severity: Severity::Warning,
            message: "the appliance has no backup".to_owned(),
            evidence: "this host has written none".to_owned(),
            remedy: Remedy::command("make one", "lfctl backup create --to DIR"),
        };
        assert_eq!(
            warning(&finding, &hints),
            "the appliance has no backup (this host has written none)\n  \
             remedy: make one: `lfctl backup create --root '/srv/a b' --to DIR`"
        );
    }

    #[test]
    fn every_remedy_is_a_command_line_with_the_flags_in_force() {
        let call = "lfctl doctor --name lf --root '/srv/a b' --engine unix:///srv/x.sock";
        let call = shell_words::split(call).unwrap();
        let flags = Flags::of(&Cli::command().try_get_matches_from(call).unwrap());
        let hints = Hints {
            flags: flags.clone(),
            parser: Cli::command,
        };
        let (mut remedies, mut seen) = (remedies(), 0);
        hints.add_to_remedies(remedies.iter_mut());
        for remedy in remedies {
            for command in commands(&remedy) {
                let words = shell_words::split(&command).unwrap();
                let matches = Cli::command().try_get_matches_from(&words);
                let matches = matches.unwrap_or_else(|error| panic!("`{command}`: {error}"));
                let in_force = Flags::of(&matches);
                match words[1].as_str() {
                    "help" => assert_eq!(command, "lfctl help site"),
                    _ => assert_eq!(in_force, flags, "`{command}`"),
                }
                seen += 1;
            }
            if let Some(command) = &remedy.command {
                shell_words::split(command).unwrap_or_else(|error| panic!("{command}: {error}"));
            }
        }
        assert!(seen > 40, "only {seen} commands");
    }
}
