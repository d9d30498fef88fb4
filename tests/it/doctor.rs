//! `lfctl doctor` from outside, as far as it needs no running appliance. What
//! it says about a real one is part of the journey.

use fs_err as fs;
use lfctl::appliance::state::{EnginePlace, Status};
use lfctl::check::CHECKS;

use crate::support::host::{Host, both};

const NO_ENGINE: [&str; 2] = ["--engine", "unix:///nowhere/engine.sock"];

#[test]
fn without_an_appliance_there_is_nothing_to_examine() {
    let host = Host::bare();
    let text = host.fails(1, &["doctor", "--name", &host.name]);
    assert!(text.contains("no appliance"), "{text}");
    assert!(text.contains("lfctl status"), "{text}");
    host.record(|state| state.status = Status::Uninstalled);
    let text = host.fails(1, &["doctor", "--name", &host.name]);
    assert!(text.contains("was uninstalled"), "{text}");
}

#[test]
fn an_engine_that_is_down_has_its_own_exit_code() {
    let host = Host::bare();
    host.record(|_| ());
    let arguments = [&["doctor", "--name", &host.name], &NO_ENGINE[..]].concat();
    let output = host.run(&arguments);
    let text = both(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("/nowhere/engine.sock"), "{text}");
    assert!(text.contains("no container engine"), "{text}");
}

#[test]
fn a_host_is_examined_while_its_engine_is_down() {
    let host = Host::bare();
    host.record(|state| {
        state.engine_at = Some(EnginePlace {
            socket: "/nowhere/engine.sock".to_owned(),
            data_root: host.dir.path().display().to_string(),
        });
    });
    let arguments = [&["doctor", "--json", "--name", &host.name], &NO_ENGINE[..]].concat();
    let output = host.run(&arguments);
    assert_eq!(output.status.code(), Some(7));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcome = |id: &str| {
        let checks = seen["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()
    };
    assert_eq!(outcome("host.clock")["outcome"], "pass");
    assert_eq!(outcome("host.memory")["outcome"], "pass");
    // A full disk is why many engines are down.
    let disks = outcome("host.filesystem")["evidence"].as_str().unwrap();
    assert!(disks.contains("images and data"), "{disks}");
    let engine = outcome("engine.reachable");
    assert_eq!(engine["severity"], "blocking", "{engine}");
    let evidence = engine["evidence"].as_str().unwrap();
    assert!(evidence.contains("/nowhere/engine.sock"), "{evidence}");
    assert_eq!(outcome("stack.services")["outcome"], "could-not-check");
}

#[test]
#[ignore = "needs an engine"]
fn an_appliance_that_is_not_there_has_no_status() {
    let host = Host::bare();
    let text = host.fails(1, &["status", "--name", "no-such-thing"]);
    assert!(text.contains("no appliance `no-such-thing`"), "{text}");
}

#[test]
fn an_unknown_check_is_a_usage_error_that_tells_where_the_names_are() {
    let host = Host::bare();
    let text = host.fails(2, &["doctor", "--only", "egress.nothing"]);
    assert!(text.contains("egress.nothing"), "{text}");
    assert!(
        text.contains("`lfctl doctor --root ") && text.contains(" --list`"),
        "{text}"
    );
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

#[test]
#[ignore = "needs an engine"]
fn a_proof_that_cannot_be_made_has_its_own_exit_code() {
    let host = Host::bare();
    host.record(|_| ());
    let only = [
        "doctor",
        "--name",
        &host.name,
        "--only",
        "egress.update-check",
    ];
    let output = host.run(&only);
    let text = both(&output);
    assert_eq!(output.status.code(), Some(9), "{text}");
    assert!(text.contains("because gateway is down"), "{text}");
    // A check of the host proves nothing, so that nothing is missing.
    host.ok(&["doctor", "--name", &host.name, "--only", "host.clock"]);
}

#[test]
#[ignore = "needs an engine"]
fn an_install_that_broke_off_comes_before_all_that_it_lacks() {
    let host = Host::bare();
    host.record(|state| state.status = Status::Installing);
    let journal = host.state_dir().join("journal.jsonl");
    fs::write(
        journal,
        concat!(
            r#"{"at":"2026-11-22T10:00:00Z","record":"run-begin","command":"install","#,
            r#""bundle":null,"release":null,"lfctl":"0.1.0"}"#,
            "\n",
            r#"{"at":"2026-11-22T10:00:01Z","record":"step-begin","step":"migrate"}"#,
            "\n"
        ),
    )
    .unwrap();
    let output = host.run(&["doctor", "--name", &host.name]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains("appliance.unfinished"), "{text}");
    assert!(text.contains("at step `migrate`"), "{text}");
    assert!(text.contains("--offline --name"), "{text}");
    assert_eq!(text.matches("BLOCK").count(), 1, "{text}");
    assert_eq!(text.matches("could not check, ").count(), 1, "{text}");
}

#[test]
fn an_engine_that_is_down_is_one_line() {
    let host = Host::bare();
    host.record(|_| ());
    let arguments = [&["doctor", "--name", &host.name], &NO_ENGINE[..]].concat();
    let text = both(&host.run(&arguments));
    assert_eq!(text.matches("could not check, ").count(), 1, "{text}");
    assert!(text.contains("because the engine is down: "), "{text}");
}
