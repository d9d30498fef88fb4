//! What a table of faults is, and how facts are spoiled.

use crate::appliance::journal::{OnBreak, Unfinished};
use crate::check::fixture::{DATA, installed};
use crate::check::tests::{self, findings};
use crate::engine::Container;
use crate::facts::certificate::Certificate;
use crate::facts::egress::{Attempt, Ending};
use crate::facts::{Change, Fact, Facts};
use crate::langfuse::http::HttpError;
use crate::langfuse::schema::SchemaState;
use crate::oci::digest::Digest;
use crate::report::finding::Severity;
use crate::sys::disk::Disk;
use crate::sys::host::Host;

pub(super) const BLOCK: Severity = Severity::Blocking;
pub(super) const WARN: Severity = Severity::Warning;

/// How one fact is spoiled, which check finds it, and how severe that is.
pub(super) type Case = (fn(&mut Facts), &'static str, Severity);

pub(super) fn known<T>(fact: &mut Fact<T>) -> &mut T {
    tests::known(fact)
}

pub(super) fn container<'a>(facts: &'a mut Facts, service: &str) -> &'a mut Container {
    tests::container(facts, service)
}

pub(super) fn set(facts: &mut Facts, service: &str, name: &str, value: &str) {
    tests::set(facts, service, name, value);
}

pub(super) fn disk(facts: &mut Facts) -> &mut Disk {
    known(facts.disks.get_mut(DATA).unwrap())
}

pub(super) fn host(facts: &mut Facts) -> &mut Host {
    known(&mut facts.host)
}

pub(super) fn updated(facts: &Facts) -> jiff::Timestamp {
    facts.subject.updated.unwrap()
}

/// An install from a bundle that was stopped while it migrated.
pub(super) fn broken_off(bundle: &[u8]) -> Unfinished {
    Unfinished {
        run: "1".to_owned(),
        command: "install".to_owned(),
        bundle: Some(Digest::of(bundle)),
        release: Some(installed().release),
        step: Some("migrate".to_owned()),
        at: "2026-11-22T10:00:00Z".parse().unwrap(),
        on_break: OnBreak::Resume,
        committed: false,
        to_undo: Vec::new(),
    }
}

/// The gateway's certificate.
pub(super) fn certificate(facts: &mut Facts) -> &mut Certificate {
    known(facts.subject.certificate.as_mut().unwrap())
}

pub(super) fn change(facts: &mut Facts) -> &mut Change {
    facts.change.as_mut().unwrap()
}

/// What runs is replaced, and its databases are in order.
pub(super) fn upgrade(facts: &mut Facts) {
    facts.schemas = vec![open(&[]), open(&[])];
    change(facts).is_upgrade = true;
}

/// A schema, and the migrations of it that did not end.
pub(super) fn open(open: &[&str]) -> Fact<SchemaState> {
    Fact::Known(SchemaState {
        applied: 46,
        last: Some("46".to_owned()),
        open: open.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// The attempt at this index in web.
pub(super) fn attempt(facts: &mut Facts, at: usize) -> &mut Attempt {
    &mut known(facts.egress.get_mut("web").unwrap())[at]
}

pub(super) fn reach(attempt: &mut Attempt, address: &str) {
    attempt.ending = Ending::Connected;
    attempt.address = Some(address.parse().unwrap());
}

pub(super) fn refused() -> HttpError {
    HttpError::Connect {
        address: "127.0.0.1:8080".parse().unwrap(),
        source: std::io::ErrorKind::ConnectionRefused.into(),
    }
}

/// Spoils one thing at a time and expects that finding and no other; parity may
/// follow from a variable that one of two services lost, an open firewall from
/// an engine that runs without root.
pub(super) fn check(sound: fn() -> Facts, cases: &[Case]) {
    for (at, (spoil, id, severity)) in cases.iter().enumerate() {
        let mut facts = sound();
        spoil(&mut facts);
        let mut found = findings(&facts);
        for follows in ["config.parity", "egress.firewall"] {
            if *id != follows {
                found.retain(|(id, _)| *id != follows);
            }
        }
        assert_eq!(found, [(*id, Some(*severity))], "case {at}");
    }
}
