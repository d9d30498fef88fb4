//! Backups: whether there is one, how old it is, and whether it was ever seen
//! to restore.

use jiff::{SignedDuration, Timestamp};

use super::outcome::{Outcome, Unknown, want};
use crate::appliance::backup::{FailedRun, LastBackup};
use crate::facts::{Backups, Facts};
use crate::report::finding::Remedy;

fn create(facts: &Facts, backups: &Backups, text: &str) -> Remedy {
    let to = match &backups.records.backup {
        Some(last) => last.repository.display().to_string(),
        None => "DIR".to_owned(),
    };
    let name = &facts.subject.name;
    Remedy::command(text, format!("lfctl backup create --to {to} --name {name}"))
}

fn drill(facts: &Facts, text: &str) -> Remedy {
    let name = &facts.subject.name;
    Remedy::command(text, format!("lfctl backup drill --name {name}"))
}

fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}

fn age(facts: &Facts, at: Timestamp) -> SignedDuration {
    facts.now.duration_since(at)
}

/// Such as `made 2026-11-22T10:00:00Z, 3 days ago`.
fn when(facts: &Facts, verb: &str, at: Timestamp) -> String {
    let hours = age(facts, at).as_hours().max(0);
    let ago = match hours {
        0 => "less than an hour".to_owned(),
        1 => "an hour".to_owned(),
        2..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    };
    format!("{verb} {at:.0}, {ago} ago")
}

fn described(facts: &Facts, last: &LastBackup) -> String {
    let key = last.key.as_deref();
    format!(
        "snapshot {:.8} of {}, {}, in {}, key {}",
        last.snapshot,
        last.release,
        when(facts, "made", last.at),
        last.repository.display(),
        key.unwrap_or("not recorded")
    )
}

fn failed(facts: &Facts, run: &FailedRun) -> String {
    format!("{}: {}", when(facts, "it ended", run.at), run.why)
}

pub(super) fn last(facts: &Facts) -> Result<Outcome, Unknown> {
    let backups = want(&facts.subject.backups)?;
    let records = &backups.records;
    if let Some(run) = &records.failed_backup {
        let text = "remove the cause, then make one now";
        return Ok(Outcome::warning(
            "the last backup failed",
            failed(facts, run),
            create(facts, backups, text),
        ));
    }
    let Some(last) = &records.backup else {
        return Ok(Outcome::warning(
            "the appliance has no backup",
            "this host has written none, and was not restored from one",
            create(
                facts,
                backups,
                "make one, onto another disk or a mounted share",
            ),
        ));
    };
    let evidence = described(facts, last);
    let limit = backups.limits.max_age_days;
    if age(facts, last.at) <= days(limit) {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        format!("the last backup is more than {limit} days old"),
        evidence,
        create(
            facts,
            backups,
            "make one now, and let a timer make the next ones; `max-age-days` in site.toml says \
             how old one may be",
        ),
    ))
}

pub(super) fn password(facts: &Facts) -> Result<Outcome, Unknown> {
    let backups = want(&facts.subject.backups)?;
    let Some(last) = &backups.records.backup else {
        return Ok(Outcome::not_applicable("there is no backup"));
    };
    if backups.has_password {
        let key = last.key.as_deref().unwrap_or("not recorded");
        return Ok(Outcome::pass(format!(
            "kept in backup-password, which opens key {key}"
        )));
    }
    let remedy = create(
        facts,
        backups,
        "give it once in a file, with its 24 words or as text, by `--password-file FILE`; the \
         host keeps it then",
    );
    Ok(Outcome::warning(
        "this host does not keep the password of its backups",
        format!(
            "no backup can be made or restored without typing it; repository {}",
            last.repository.display()
        ),
        remedy,
    ))
}

pub(super) fn drilled(facts: &Facts) -> Result<Outcome, Unknown> {
    if let Some(change) = &facts.change
        && !change.is_upgrade
    {
        return Ok(Outcome::not_applicable("nothing is upgraded"));
    }
    let backups = want(&facts.subject.backups)?;
    let records = &backups.records;
    if records.backup.is_none() {
        return Ok(Outcome::not_applicable("there is no backup"));
    }
    if let Some(run) = &records.failed_drill {
        return Ok(Outcome::warning(
            "the last drill failed: the backup may not restore",
            failed(facts, run),
            drill(facts, "remove the cause, then drill again"),
        ));
    }
    let Some(last) = &records.drill else {
        return Ok(Outcome::warning(
            "no backup was ever seen to restore",
            "there was no drill on this host",
            drill(
                facts,
                "drill: it restores a copy beside what runs, and removes it",
            ),
        ));
    };
    let evidence = format!(
        "snapshot {:.8}, {}",
        last.snapshot,
        when(facts, "drilled", last.at)
    );
    let limit = backups.limits.max_drill_age_days;
    if age(facts, last.at) <= days(limit) {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        format!("the last drill is more than {limit} days old"),
        evidence,
        drill(
            facts,
            "drill again; `max-drill-age-days` in site.toml sets how old one may be",
        ),
    ))
}
