//! Judges what the modes of the lab came to, and shows it.

mod table;
mod text;

pub use table::{Cell, HealthCell, Lab, Row, SCHEMA, TelemetryRow};

use crate::facts::lab::{Mode, Played, PlayedTelemetry, Results};
use crate::langfuse::UpdateVerdict;

/// Milliseconds in which health answers when nothing holds it.
const HEALTH_MS: u64 = 2000;

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
pub fn judge(appliance: &str, release: &str, results: &Results) -> Lab {
    let [without, with] = &results.checks;
    let row = |(without, with): (&Played, &Played)| Row {
        mode: without.mode,
        known: known(without.mode),
        without: without.into(),
        with: with.into(),
    };
    let modes: Vec<_> = without.iter().zip(with).map(row).collect();
    let telemetry: Vec<_> = results.telemetry.iter().map(telemetry_row).collect();
    let found = modes.iter().flat_map(findings);
    let found = found.chain(telemetry.iter().flat_map(telemetry_findings));
    Lab {
        schema: SCHEMA,
        appliance: appliance.to_owned(),
        release: release.to_owned(),
        findings: found.collect(),
        modes,
        telemetry,
    }
}

/// Seconds that usage telemetry is known to hold the first health call.
fn known_hold(mode: Mode) -> u64 {
    match mode {
        Mode::Dropped | Mode::TcpSilent => 30,
        // Four tries, three seconds apart.
        _ => 9,
    }
}

fn telemetry_row(played: &PlayedTelemetry) -> TelemetryRow {
    TelemetryRow {
        mode: played.mode,
        known_seconds: known_hold(played.mode),
        on: played.on.into(),
        with: played.with.into(),
    }
}

fn telemetry_findings(row: &TelemetryRow) -> Vec<String> {
    let mut findings = Vec::new();
    let (mode, known) = (row.mode, row.known_seconds);
    let seconds = row.on.elapsed_ms / 1000;
    // A busy machine makes a call slower.
    if row.on.status != Some(200) || !(known - 1..known + known / 2 + 5).contains(&seconds) {
        findings.push(format!(
            "{mode}: telemetry is known to hold health for {known} s, and it was {}",
            row.on.words()
        ));
    }
    if row.with.status != Some(200) || row.with.elapsed_ms > HEALTH_MS {
        findings.push(format!(
            "{mode}: health with the appliance's settings was {}",
            row.with.words()
        ));
    }
    for (cell, which) in [
        (&row.on, "with telemetry"),
        (&row.with, "with the settings"),
    ] {
        if cell.beside != Some(200) {
            findings.push(format!("{mode}: a second health call {which} failed"));
        }
    }
    findings
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
    use crate::facts::lab::{Body, HealthCall, TELEMETRY_MODES};
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

    fn call(ms: u64) -> HealthCall {
        HealthCall {
            status: Some(200),
            ms,
            beside: Some(200),
        }
    }

    fn as_known() -> Results {
        let telemetry = TELEMETRY_MODES.map(|mode| PlayedTelemetry {
            mode,
            on: call(known_hold(mode) * 1000 + 100),
            with: call(8),
        });
        Results {
            checks: [
                Mode::ALL.map(|mode| played(mode, known(mode))).to_vec(),
                Mode::ALL
                    .map(|mode| played(mode, UpdateVerdict::Graceful))
                    .to_vec(),
            ],
            telemetry: telemetry.to_vec(),
        }
    }

    #[test]
    fn telemetry_that_holds_health_is_found_where_the_settings_do_not_stop_it() {
        let found = |results: &Results| judge("main", "4.16.0", results).findings;
        let mut all = as_known();
        all.telemetry[1].with = call(9100);
        assert_eq!(
            found(&all),
            ["refused: health with the appliance's settings was 200 after 9.100 s"]
        );
        for wrong in [
            call(8),
            call(20_000),
            HealthCall {
                status: None,
                ..call(9100)
            },
            HealthCall {
                beside: None,
                ..call(9100)
            },
        ] {
            let mut all = as_known();
            all.telemetry[1].on = wrong;
            assert_eq!(found(&all).len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_as_known_has_no_findings_and_all_else_has() {
        let found = |all: &Results| judge("main", "4.16.0", all).findings;
        assert_eq!(found(&as_known()), Vec::<String>::new());

        // Not graceful where Langfuse is.
        let mut all = as_known();
        all.checks[0][7].check.verdict = UpdateVerdict::Broken;
        assert_eq!(
            found(&all),
            [
                "captive-portal: known as `fails gracefully, blocked as expected`, and it was `broken`"
            ]
        );
        // Kept in no longer.
        let mut all = as_known();
        all.checks[1][12].check.verdict = UpdateVerdict::EgressOpen;
        assert_eq!(
            found(&all),
            ["newer-release: with the appliance's settings: egress is open: it got an answer"]
        );
        // Ill over it.
        let mut all = as_known();
        all.checks[0][3].health[1] = None;
        assert_eq!(
            found(&all),
            ["dropped: health without the settings was 200 none 200"]
        );
        // Slower is no finding, quicker than known is one.
        let mut all = as_known();
        all.checks[0][2].check.verdict = UpdateVerdict::Slow;
        assert_eq!(found(&all), Vec::<String>::new());
        all.checks[0][3].check.verdict = UpdateVerdict::Graceful;
        assert_eq!(found(&all).len(), 1);
    }

    #[test]
    fn the_table_shows_each_mode_twice() {
        let mut all = as_known();
        all.checks = all.checks.map(|half| half.into_iter().step_by(4).collect());
        insta::assert_snapshot!(judge("main", "4.16.0", &all).text());
    }
}
