//! `lfctl doctor`: is the appliance well, and does anything leave it.

use clap::ValueEnum;
use clap_complete::ArgValueCandidates;
use console::style;

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::lab::LabArgs;
use super::prove::ProveArgs;
use super::{Context, appliance_engine, candidates, findings};
use crate::appliance::Appliance;
use crate::appliance::state::{State, Status};
use crate::check::{self, CHECKS, Counts, SelectError, When};
use crate::engine::docker::Docker;
use crate::facts::{self, Fact, Subject};
use crate::report::event::{Step, StepStatus};
use crate::report::human::fit_stdout;
use crate::sys::text::chain;

/// Arguments of `lfctl doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
    /// Only these checks or groups of checks, such as `egress`
    #[arg(long, value_name = "ID", value_delimiter = ',', num_args = 1.., add = ArgValueCandidates::new(candidates::checks))]
    only: Vec<String>,
    /// Lowest severity that makes the exit code non-zero
    #[arg(long, value_name = "SEVERITY", default_value = "blocking")]
    fail_on: FailOn,
    /// Also show what passed, with the evidence
    #[arg(long)]
    all: bool,
    /// List the checks without running them
    #[arg(long, conflicts_with_all = ["only", "all"])]
    list: bool,
    #[command(flatten)]
    prove: ProveArgs,
    #[command(flatten)]
    lab: LabArgs,
}

/// Lowest severity that makes the exit code non-zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Blocking findings
    Blocking,
    /// Warnings too
    Warning,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.list {
            return list(context);
        }
        let checks = check::select(&self.only).map_err(|error| not_selected(&error))?;
        let (state, appliance) = installed(self.name.appliance(context)?)?;
        // The host can be looked at without an engine, and shows why it is down.
        let (engine, down) = match Docker::connect(&context.engine).await {
            Ok(engine) => {
                appliance_engine::check(appliance.name(), &state, &engine).await?;
                (engine, None)
            }
            Err(error) => (Docker::unanswered(&context.engine)?, Some(error)),
        };
        let bundle = (state.current.bundle.to_string(), state.current.key.clone());
        let subject = Subject::installed(&appliance, state)?;
        if self.prove.prove_airgap || self.lab.egress_lab {
            if let Some(error) = down {
                return Err(error.into());
            }
            if self.lab.egress_lab {
                return Box::pin(self.lab.run(context, &engine, &subject)).await;
            }
            return self.prove.run(context, &engine, subject, bundle).await;
        }
        let step = Step::start(
            context.reporter.as_ref(),
            "examine",
            "looking at the appliance",
        );
        let probes = check::probes(&checks);
        let mut facts = Box::pin(facts::gather(&engine, subject, &probes)).await;
        if let Some(error) = &down {
            facts.engine = Fact::Unknown(chain(error));
        }
        let examination = findings::with_flags(context, check::examine(&facts, &checks));
        step.finish(StepStatus::Done, Some(examination.counts.to_string()));
        let text = examination.text(self.all || !self.only.is_empty());
        context.print(&examination, &shown(&text))?;
        match down {
            Some(error) => Err(Failure::from(error).already_shown()),
            None => verdict(examination.counts, &examination.unproven, self.fail_on),
        }
    }
}

/// The text of an examination on a terminal: verdicts in colour, lines broken
/// between words.
fn shown(text: &str) -> String {
    let line = |line: &str| {
        let line = fit_stdout(line, 9);
        let word = line.split(' ').next().unwrap_or_default();
        let styled = match word {
            "BLOCK" => style(word).red().bold(),
            "WARN" => style(word).yellow().bold(),
            "?" => style(word).yellow(),
            "ok" => style(word).green(),
            _ => return line,
        };
        format!("{styled}{}", &line[word.len()..])
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn not_selected(error: &SelectError) -> Failure {
    Failure::new(Kind::Usage, error.to_string()).hint(match error {
        SelectError::Unknown(_) => "`lfctl doctor --list` lists them",
        SelectError::BeforeOnly(_) => "`lfctl install --offline --dry-run BUNDLE` makes that check",
    })
}

fn installed(appliance: Appliance) -> Result<(State, Appliance), Failure> {
    let name = appliance.name();
    let missing = |text: String| {
        Failure::new(Kind::Failed, text).hint("`lfctl status` lists what is on this host")
    };
    let state = appliance
        .state()?
        .ok_or_else(|| missing(format!("no appliance `{name}` is installed on this host")))?;
    if state.status == Status::Uninstalled {
        return Err(missing(format!(
            "appliance `{name}` was uninstalled; only its data is left"
        )));
    }
    Ok((state, appliance))
}

fn verdict(counts: Counts, unproven: &[&str], fail_on: FailOn) -> Result<(), Failure> {
    if counts.blocking > 0 {
        let message = format!("{} blocking findings", counts.blocking);
        return Err(Failure::new(Kind::Blocked, message).already_shown());
    }
    // Not seen is not well: a check that could not be made must not look like
    // one that passed.
    if !unproven.is_empty() {
        let message = format!("not proven: could not check {}", unproven.join(", "));
        return Err(Failure::new(Kind::NotProven, message).already_shown());
    }
    if counts.ok == 0 && counts.could_not_check > 0 {
        return Err(Failure::new(Kind::Failed, "nothing could be checked").already_shown());
    }
    let doubts = counts.warnings + counts.could_not_check;
    if doubts > 0 && fail_on == FailOn::Warning {
        let message = format!("{doubts} warnings or checks that could not be made");
        return Err(Failure::new(Kind::Warnings, message).already_shown());
    }
    Ok(())
}

#[derive(serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Listed {
    id: &'static str,
    title: &'static str,
    when: When,
}

fn list(context: &Context) -> Result<(), Failure> {
    let listed: Vec<_> = CHECKS
        .iter()
        .map(|check| Listed {
            id: check.id,
            title: check.title,
            when: check.when,
        })
        .collect();
    let width = listed.iter().map(|check| check.id.len()).max().unwrap_or(0);
    let text: Vec<_> = listed
        .iter()
        .map(|check| {
            format!(
                "{:width$}  {:6}  {}",
                check.id,
                occasion(check.when),
                check.title
            )
        })
        .collect();
    context.print(&listed, &text.join("\n"))
}

fn occasion(when: When) -> &'static str {
    match when {
        When::Before => "before",
        When::After => "after",
        When::Both => "both",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_worst_finding() {
        let counts = |blocking, warnings, could_not_check| Counts {
            ok: 1,
            warnings,
            blocking,
            could_not_check,
            ..Counts::default()
        };
        let code = |counts, fail_on| verdict(counts, &[], fail_on).err().map(|f| f.kind());
        assert_eq!(code(counts(0, 1, 3), FailOn::Blocking), None);
        assert_eq!(code(counts(0, 1, 0), FailOn::Warning), Some(Kind::Warnings));
        assert_eq!(code(counts(1, 1, 0), FailOn::Blocking), Some(Kind::Blocked));
        assert_eq!(code(counts(1, 0, 0), FailOn::Warning), Some(Kind::Blocked));
        assert_eq!(code(counts(0, 0, 0), FailOn::Warning), None);
        assert_eq!(code(counts(0, 0, 1), FailOn::Warning), Some(Kind::Warnings));
        let unseen = Counts {
            could_not_check: 2,
            ..Counts::default()
        };
        assert_eq!(code(unseen, FailOn::Blocking), Some(Kind::Failed));
    }

    #[test]
    fn what_could_not_be_proven_is_no_success() {
        let counts = |blocking| Counts {
            ok: 30,
            blocking,
            could_not_check: 1,
            ..Counts::default()
        };
        let code = |counts, unproven: &[&str]| {
            verdict(counts, unproven, FailOn::Blocking)
                .err()
                .map(|failure| failure.kind())
        };
        assert_eq!(code(counts(0), &[]), None);
        assert_eq!(code(counts(0), &["egress.no-route"]), Some(Kind::NotProven));
        assert_eq!(code(counts(1), &["egress.no-route"]), Some(Kind::Blocked));
    }
}
