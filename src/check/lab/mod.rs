//! Judges what the modes of the lab came to, and shows it.

mod table;
mod text;

pub use table::{Cell, Lab, Row, SCHEMA};

use crate::facts::lab::{Mode, Played};
use crate::langfuse::UpdateVerdict;

/// What Langfuse is known to make of a mode.
pub fn known(mode: Mode) -> UpdateVerdict {
    match mode {
        // HTML is no JSON, so it counts as a failed call.
        Mode::NameNotFound | Mode::Refused | Mode::UnknownCertificate | Mode::CaptivePortal => {
            UpdateVerdict::Graceful
        }
        Mode::DnsSilent | Mode::Dropped | Mode::TcpSilent => UpdateVerdict::Slow,
        Mode::TlsSilent => UpdateVerdict::Hung,
        Mode::WrongJson => UpdateVerdict::Answered,
        Mode::NoSemver => UpdateVerdict::Broken,
        // It never looks at the status.
        Mode::Unavailable | Mode::SlowBody | Mode::NewerRelease => UpdateVerdict::EgressOpen,
    }
}

/// Judges what was played, without settings and with the appliance's.
pub fn judge(appliance: &str, release: &str, [without, with]: &[Vec<Played>; 2]) -> Lab {
    let row = |(without, with): (&Played, &Played)| Row {
        mode: without.mode,
        known: known(without.mode),
        without: without.into(),
        with: with.into(),
    };
    let modes: Vec<_> = without.iter().zip(with).map(row).collect();
    Lab {
        schema: SCHEMA,
        appliance: appliance.to_owned(),
        release: release.to_owned(),
        findings: modes.iter().flat_map(findings).collect(),
        modes,
    }
}

fn findings(row: &Row) -> Vec<String> {
    let mut findings = Vec::new();
    let mode = row.mode;
    if !is_as(row.known, row.without.verdict) {
        let (known, seen) = (row.known, row.without.verdict);
        findings.push(format!("{mode}: known as `{known}`, and it was `{seen}`"));
    }
    if !is_as(UpdateVerdict::Graceful, row.with.verdict) {
        let seen = row.with.verdict;
        findings.push(format!("{mode}: with the appliance's settings: {seen}"));
    }
    for (cell, which) in [(&row.without, "without"), (&row.with, "with")] {
        if cell.health.iter().any(|status| *status != Some(200)) {
            findings.push(format!(
                "{mode}: health {which} the settings was {}",
                cell.health_words()
            ));
        }
    }
    findings
}

/// A busy machine makes a call slower, and nothing else of it.
fn is_as(known: UpdateVerdict, seen: UpdateVerdict) -> bool {
    known == seen || (known, seen) == (UpdateVerdict::Graceful, UpdateVerdict::Slow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::lab::Body;
    use crate::langfuse::UpdateCheck;

    fn played(mode: Mode, verdict: UpdateVerdict) -> Played {
        Played {
            mode,
            health: [Some(200); 3],
            body: Body::Null,
            check: UpdateCheck {
                verdict,
                status: Some(200),
                body: String::new(),
                elapsed_ms: 12,
                log_line: Some("error failed".to_owned()),
            },
        }
    }

    fn as_known() -> [Vec<Played>; 2] {
        [
            Mode::ALL.map(|mode| played(mode, known(mode))).to_vec(),
            Mode::ALL
                .map(|mode| played(mode, UpdateVerdict::Graceful))
                .to_vec(),
        ]
    }

    #[test]
    fn what_is_as_known_has_no_findings_and_all_else_has() {
        let found = |all: &[Vec<Played>; 2]| judge("main", "4.16.0", all).findings;
        assert_eq!(found(&as_known()), Vec::<String>::new());

        // Not graceful where Langfuse is.
        let mut all = as_known();
        all[0][7].check.verdict = UpdateVerdict::Broken;
        assert_eq!(
            found(&all),
            [
                "captive-portal: known as `fails gracefully, blocked as expected`, and it was `broken`"
            ]
        );
        // Kept in no longer.
        let mut all = as_known();
        all[1][12].check.verdict = UpdateVerdict::EgressOpen;
        assert_eq!(
            found(&all),
            ["newer-release: with the appliance's settings: egress is open: it got an answer"]
        );
        // Ill over it.
        let mut all = as_known();
        all[0][3].health[1] = None;
        assert_eq!(
            found(&all),
            ["dropped: health without the settings was 200 none 200"]
        );
        // Slower is no finding, quicker than known is one.
        let mut all = as_known();
        all[0][2].check.verdict = UpdateVerdict::Slow;
        assert_eq!(found(&all), Vec::<String>::new());
        all[0][3].check.verdict = UpdateVerdict::Graceful;
        assert_eq!(found(&all).len(), 1);
    }

    #[test]
    fn the_table_shows_each_mode_twice() {
        let [without, with] = as_known();
        let some = |all: Vec<Played>| all.into_iter().step_by(4).collect();
        insta::assert_snapshot!(judge("main", "4.16.0", &[some(without), some(with)]).text());
    }
}
