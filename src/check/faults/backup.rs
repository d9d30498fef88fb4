//! Backups and drills.

use super::table::{BLOCK, Case, WARN, broken_off, known, upgrade};
use crate::appliance::backup::{FailedRun, Records};
use crate::appliance::journal::OnBreak;
use crate::facts::{Fact, Facts};

fn records(facts: &mut Facts) -> &mut Records {
    &mut known(&mut facts.subject.backups).records
}

fn failed() -> FailedRun {
    FailedRun {
        at: "2026-11-23T02:00:00Z".parse().unwrap(),
        why: "no space left on device".to_owned(),
    }
}

/// Faults of the backups of what is installed.
pub(super) const BACKUP: &[Case] = &[
    (|f| *records(f) = Records::default(), "backup.last", WARN),
    (
        |f| records(f).failed_backup = Some(failed()),
        "backup.last",
        WARN,
    ),
    (
        |f| f.now += jiff::SignedDuration::from_hours(24 * 7),
        "backup.last",
        WARN,
    ),
    (
        |f| known(&mut f.subject.backups).has_password = false,
        "backup.password",
        WARN,
    ),
    (|f| records(f).drill = None, "backup.drill", WARN),
    (
        |f| records(f).failed_drill = Some(failed()),
        "backup.drill",
        WARN,
    ),
    (
        |f| known(&mut f.subject.backups).limits.max_drill_age_days = 22,
        "backup.drill",
        WARN,
    ),
    (
        |f| f.subject.unfinished = Fact::Known(Some(broken_off(b"bundle"))),
        "appliance.unfinished",
        BLOCK,
    ),
];

/// The same before an upgrade.
pub(super) const UPGRADED: &[Case] = &[(
    |f| {
        upgrade(f);
        records(f).drill = None;
    },
    "backup.drill",
    WARN,
)];

/// What doctor advises where a change of this kind broke off.
fn advice(command: &str, on_break: OnBreak) -> String {
    let mut facts = crate::check::fixture::healthy();
    let mut run = broken_off(b"bundle");
    run.command = command.to_owned();
    run.on_break = on_break;
    facts.subject.unfinished = Fact::Known(Some(run));
    let checks = crate::check::select(&["appliance.unfinished".to_owned()]).unwrap();
    let examination = crate::check::examine(&facts, &checks);
    let findings = examination.findings();
    let [finding] = findings.as_slice() else {
        panic!("one finding: {findings:?}")
    };
    finding.remedy.command.clone().unwrap()
}

/// What broke off, and the command that finishes or undoes it.
pub(super) const ENDS: [(&str, OnBreak, &str); 7] = [
    ("backup", OnBreak::Undo, "lfctl recover --name lf"),
    ("upgrade", OnBreak::Undo, "lfctl recover --name lf"),
    ("rollback", OnBreak::Undo, "lfctl recover --name lf"),
    (
        "upgrade",
        OnBreak::Resume,
        "lfctl upgrade --offline --stage --name lf BUNDLE",
    ),
    (
        "restore",
        OnBreak::Resume,
        "lfctl restore --from DIR --name lf BUNDLE",
    ),
    ("uninstall", OnBreak::Resume, "lfctl uninstall --name lf"),
    (
        "install",
        OnBreak::Resume,
        "lfctl install --offline --name lf BUNDLE",
    ),
];

#[test]
fn what_broke_off_is_finished_or_undone_by_the_command_that_can() {
    for (command, on_break, advised) in ENDS {
        assert_eq!(advice(command, on_break), advised, "{command}");
    }
}
