//! The update check, as a check.

use super::cause::{Beneath, require};
use super::outcome::{Cause, Outcome, Unknown, want};
use super::remedy::{isolate, read_logs};
use crate::facts::Facts;
use crate::langfuse::{UpdateCheck, UpdateVerdict};

pub(super) fn update_check(facts: &Facts) -> Result<Outcome, Unknown> {
    let check = want(&facts.update)?;
    let evidence = update_evidence(check);
    let web = &facts.subject.stack.langfuse.web;
    let seal = isolate(facts, web);
    let look = |text| read_logs(facts, web, text);
    if is_of_web(check) {
        require(facts, &[Beneath::Gateway, Beneath::Web])?;
    }
    if check.verdict == UpdateVerdict::Broken
        && let Some(status @ (502..=504)) = check.status
    {
        // The gateway's own words: it got no answer out of web.
        return Err(Unknown::Beneath(Cause {
            what: format!("the gateway answered {status} in web's place"),
            told_by: "stack.web-version",
        }));
    }
    Ok(match check.verdict {
        UpdateVerdict::Graceful => {
            Outcome::pass(format!("harmless, blocked as expected: {evidence}"))
        }
        UpdateVerdict::Slow => Outcome::warning(
            "the update check is blocked, but only after waiting, on every page load",
            evidence,
            seal,
        ),
        UpdateVerdict::Hung => Outcome::blocking(
            "the update check hangs: something takes the connection and stays silent",
            evidence,
            seal,
        ),
        UpdateVerdict::Broken => Outcome::blocking(
            "the update check ends in an error that users see",
            evidence,
            look("read the error; a proxy or mock that answers in the vendor's name causes it"),
        ),
        UpdateVerdict::EgressOpen => Outcome::blocking(
            "the update check reached the outside and got a release: egress is open",
            evidence,
            seal,
        ),
        UpdateVerdict::Answered => Outcome::blocking(
            "the update check got an answer that is not a release: a proxy or captive portal can be \
             reached",
            evidence,
            seal,
        ),
        UpdateVerdict::Unproven => Outcome::warning(
            "the update check found nothing, but Langfuse logged no failed call, so nothing is proven",
            evidence,
            look("see whether web's log is cut short, and call the check again"),
        ),
    })
}

/// Whether a web that is down looks the same.
fn is_of_web(check: &UpdateCheck) -> bool {
    match check.verdict {
        UpdateVerdict::Slow
        | UpdateVerdict::Hung
        | UpdateVerdict::Broken
        | UpdateVerdict::Unproven => true,
        UpdateVerdict::Graceful | UpdateVerdict::EgressOpen | UpdateVerdict::Answered => false,
    }
}

/// Timing, status, and Langfuse's own words.
fn update_evidence(check: &UpdateCheck) -> String {
    let answer = match check.status {
        Some(status) => format!("status {status} in {} ms, {}", check.elapsed_ms, check.body),
        None => format!("no whole answer in {} ms {}", check.elapsed_ms, check.body),
    };
    match &check.log_line {
        Some(line) => format!("{answer}; web logged \"{line}\""),
        None => format!("{answer}; web logged nothing about it"),
    }
}
