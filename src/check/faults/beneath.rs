//! What lies beneath a check and is down raises one alarm, not many.

use super::table::{BLOCK, WARN, attempt, broken_off as interrupted, container, known, refused};
use crate::appliance::journal::Unfinished;
use crate::appliance::state::Status;
use crate::check::fixture::{blind, healthy};
use crate::check::tests::{all, findings};
use crate::check::{Examination, Outcome, examine, select};
use crate::engine::ContainerState;
use crate::facts::egress::Ending;
use crate::facts::{Fact, Facts};
use crate::langfuse::http::HttpError;
use crate::langfuse::{ProbeError, UpdateVerdict};

fn unknown<T>() -> Fact<T> {
    Fact::Unknown("container is not running".to_owned())
}

/// Why a check could not be made, and which one tells of it.
fn beneath(examination: &Examination, id: &str) -> Option<(String, Option<&'static str>)> {
    let check = examination.checks.iter().find(|check| check.id == id)?;
    match &check.outcome {
        Outcome::CouldNotCheck { why, because_of } => Some((why.clone(), *because_of)),
        _ => None,
    }
}

/// What doctor sees of a web that ended: the gateway answers in its place.
fn dead_web() -> Facts {
    let mut facts = healthy();
    container(&mut facts, "web").state = ContainerState::Exited;
    let health = known(&mut facts.web).as_mut().unwrap();
    (health.status, health.version) = (502, None);
    *known(&mut facts.event) = Err(ProbeError::Rejected {
        status: 502,
        body: "Bad Gateway".to_owned(),
    });
    let update = known(&mut facts.update);
    (update.verdict, update.status) = (UpdateVerdict::Broken, Some(502));
    facts.egress.insert("web".to_owned(), unknown());
    facts
}

#[test]
fn a_web_that_is_down_is_one_finding() {
    let facts = dead_web();
    assert_eq!(findings(&facts), [("stack.services", Some(BLOCK))]);
    let examination = examine(&facts, &all());
    for id in [
        "stack.web-version",
        "data.end-to-end",
        "egress.update-check",
        "egress.call-home",
        "egress.no-route",
    ] {
        assert_eq!(
            beneath(&examination, id),
            Some(("web is down".to_owned(), Some("stack.services"))),
            "{id}"
        );
    }
}

#[test]
fn a_way_out_is_an_alarm_although_web_is_down() {
    let mut facts = dead_web();
    let attempts = facts.egress.get_mut("worker").unwrap();
    let first = &mut known(attempts)[0];
    first.ending = Ending::Connected;
    first.address = Some("76.76.21.21".parse().unwrap());
    assert_eq!(
        findings(&facts),
        [
            ("stack.services", Some(BLOCK)),
            ("egress.call-home", Some(BLOCK))
        ]
    );
}

#[test]
fn the_gateways_own_answer_is_no_proxy() {
    let mut facts = healthy();
    let update = known(&mut facts.update);
    (update.verdict, update.status) = (UpdateVerdict::Broken, Some(502));
    assert_eq!(findings(&facts), []);
    let cause = beneath(&examine(&facts, &all()), "egress.update-check").unwrap();
    assert_eq!(cause.1, Some("stack.web-version"));
}

#[test]
fn a_web_that_answers_errors_is_one_finding() {
    let mut facts = healthy();
    known(&mut facts.web).as_mut().unwrap().status = 500;
    *known(&mut facts.event) = Err(ProbeError::Rejected {
        status: 500,
        body: String::new(),
    });
    known(&mut facts.update).verdict = UpdateVerdict::Broken;
    assert_eq!(findings(&facts), [("stack.web-version", Some(BLOCK))]);
}

#[test]
fn a_database_that_is_down_is_one_finding() {
    let mut facts = healthy();
    container(&mut facts, "postgres").state = ContainerState::Exited;
    facts.schemas[0] = unknown();
    facts.background = unknown();
    facts.servers[0] = unknown();
    known(&mut facts.worker).code = 1;
    *known(&mut facts.event) = Err(ProbeError::Unauthorized { status: 401 });
    assert_eq!(findings(&facts), [("stack.services", Some(BLOCK))]);
    let examination = examine(&facts, &all());
    for id in [
        "stack.worker-health",
        "data.postgres-schema",
        "data.time-zone",
        "data.end-to-end",
    ] {
        let (why, _) = beneath(&examination, id).unwrap();
        assert_eq!(why, "postgres is down", "{id}");
    }
    // The other one was asked and answered.
    assert_eq!(beneath(&examination, "data.clickhouse-schema"), None);
}

#[test]
fn a_gateway_that_is_down_is_one_finding() {
    let mut facts = healthy();
    known(&mut facts.containers).remove("gateway");
    *known(&mut facts.published) = Err(refused());
    facts.web = unknown();
    facts.event = unknown();
    facts.update = unknown();
    assert_eq!(findings(&facts), [("stack.services", Some(BLOCK))]);
}

#[test]
fn an_engine_that_is_down_is_one_line() {
    let mut facts = blind();
    facts.host = healthy().host;
    facts.disks = healthy().disks;
    assert_eq!(findings(&facts), [("engine.reachable", Some(BLOCK))]);
    let text = examine(&facts, &all()).text(false);
    assert_eq!(
        text.matches("could not check, because").count(),
        1,
        "{text}"
    );
    assert!(text.contains("because the engine is down: "), "{text}");
    // The one who asks for one check is told what it lacks.
    let one = select(&["data.end-to-end".to_owned()]).unwrap();
    let text = examine(&facts, &one).text(true);
    assert!(
        text.contains("could not check, because the engine is down"),
        "{text}"
    );
}

/// An install that was stopped while it migrated.
fn broken_off() -> Facts {
    let mut facts = healthy();
    facts.subject.status = Some(Status::Installing);
    facts.subject.unfinished = Fact::Known(Some(interrupted(b"bundle")));
    for service in ["web", "worker", "gateway"] {
        known(&mut facts.containers).remove(service);
    }
    *known(&mut facts.published) = Err(refused());
    facts.web = unknown();
    facts.worker = unknown();
    facts.event = unknown();
    facts.update = unknown();
    facts.egress = [
        ("web".to_owned(), unknown()),
        ("worker".to_owned(), unknown()),
    ]
    .into();
    known(&mut facts.schemas[0]).applied = 3;
    facts
}

#[test]
fn an_install_that_broke_off_comes_first_and_names_its_step() {
    let facts = broken_off();
    assert_eq!(findings(&facts), [("appliance.unfinished", Some(BLOCK))]);
    insta::assert_snapshot!(examine(&facts, &all()).text(false));
}

#[test]
fn an_install_at_work_is_no_alarm() {
    let mut facts = broken_off();
    facts.subject.busy = true;
    assert_eq!(findings(&facts), [("appliance.unfinished", Some(WARN))]);
}

#[test]
fn a_change_that_is_committed_is_no_alarm() {
    let mut facts = healthy();
    let run = Unfinished {
        committed: true,
        ..interrupted(b"bundle")
    };
    facts.subject.unfinished = Fact::Known(Some(run));
    assert_eq!(findings(&facts), [("appliance.unfinished", Some(WARN))]);
}

#[test]
fn a_journal_that_cannot_be_read_is_no_broken_change() {
    let mut facts = healthy();
    facts.subject.unfinished = Fact::Unknown("the journal is damaged".to_owned());
    assert_eq!(findings(&facts), [("appliance.unfinished", None)]);
}

#[test]
fn dropped_packets_are_a_seal_only_on_a_sealed_network() {
    let dropped = || {
        let mut facts = healthy();
        let attempt = attempt(&mut facts, 1);
        attempt.ending = Ending::TimedOut;
        attempt.elapsed_ms = 1200;
        facts
    };
    assert_eq!(findings(&dropped()), []);
    let mut unknown = dropped();
    unknown.networks = Fact::Unknown("no answer".to_owned());
    assert_eq!(
        findings(&unknown),
        [("egress.no-route", Some(WARN)), ("egress.networks", None)]
    );
}

#[test]
fn an_address_that_moved_away_is_not_repaired_by_reading_logs() {
    let mut facts = healthy();
    let address = facts.subject.site.as_ref().unwrap().listen;
    *known(&mut facts.published) = Err(HttpError::NotOurs { address });
    let gateway = select(&["stack.gateway".to_owned()]).unwrap();
    let text = examine(&facts, &gateway).text(true);
    assert!(text.contains("`listen` in site.toml"), "{text}");
    assert!(!text.contains("logs"), "{text}");
}

#[test]
fn a_clock_within_five_minutes_is_right() {
    let behind = |seconds: i64| {
        let mut facts = healthy();
        let changed = facts.subject.updated.unwrap();
        facts.now = changed - jiff::SignedDuration::from_secs(seconds);
        findings(&facts)
    };
    assert_eq!(behind(1), []);
    assert_eq!(behind(300), []);
    assert_eq!(behind(301), [("host.clock", Some(BLOCK))]);
}
