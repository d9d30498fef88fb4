//! `lfctl doctor` from outside, as far as it needs no running appliance. What
//! it says about a real one is part of the journey.

use std::collections::BTreeMap;

use fs_err as fs;
use lfctl::appliance::Appliance;
use lfctl::appliance::state::{SCHEMA, State, Status};
use lfctl::bundle::spec::BundleSpec;
use lfctl::doctor::CHECKS;
use lfctl::engine::EngineKind;
use lfctl::oci::digest::Digest;
use lfctl::sys::paths::Paths;

use crate::support::host::Host;

const NO_ENGINE: [&str; 2] = ["--engine", "unix:///nowhere/engine.sock"];

/// Writes the state of an appliance that some engine would hold.
fn record(host: &Host, status: Status) {
    let spec = format!("{}/bundles/rehearsal-1.toml", env!("CARGO_MANIFEST_DIR"));
    let spec = BundleSpec::parse(&fs::read_to_string(spec).unwrap()).unwrap();
    let state = State {
        schema: SCHEMA,
        lfctl: env!("CARGO_PKG_VERSION").to_owned(),
        status,
        release: spec.release,
        highest_counters: BTreeMap::new(),
        bundle: Digest::of(b"bundle"),
        key: None,
        engine: EngineKind::Docker,
        images: BTreeMap::new(),
        stack: spec.stack,
        listen: ([127, 0, 0, 1], host.port).into(),
        fingerprints: BTreeMap::new(),
        updated: jiff::Timestamp::now(),
    };
    Appliance::named(&Paths::below(&host.root()), &host.name)
        .unwrap()
        .write_state(&state)
        .unwrap();
}

#[test]
fn without_an_appliance_there_is_nothing_to_examine() {
    let host = Host::bare();
    let text = host.fails(1, &["doctor", "--name", &host.name]);
    assert!(text.contains("no appliance"), "{text}");
    assert!(text.contains("lfctl status"), "{text}");
    record(&host, Status::Uninstalled);
    let text = host.fails(1, &["doctor", "--name", &host.name]);
    assert!(text.contains("was uninstalled"), "{text}");
}

#[test]
fn an_engine_that_is_down_has_its_own_exit_code() {
    let host = Host::bare();
    record(&host, Status::Installed);
    let arguments = [&["doctor", "--name", &host.name], &NO_ENGINE[..]].concat();
    let text = host.fails(7, &arguments);
    assert!(text.contains("/nowhere/engine.sock"), "{text}");
}

#[test]
fn an_unknown_check_is_a_usage_error_that_tells_where_the_names_are() {
    let host = Host::bare();
    let text = host.fails(2, &["doctor", "--only", "egress.nothing"]);
    assert!(text.contains("egress.nothing"), "{text}");
    assert!(text.contains("lfctl doctor --list"), "{text}");
}

#[test]
fn the_list_names_every_check_and_needs_nothing() {
    let host = Host::bare();
    let text = host.ok(&["doctor", "--list"]);
    assert_eq!(text.lines().count(), CHECKS.len());
    let arguments = [&["doctor", "--list", "--json"], &NO_ENGINE[..]].concat();
    let listed: serde_json::Value = serde_json::from_str(&host.ok(&arguments)).unwrap();
    let ids: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    let wanted: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(ids, wanted);
}
