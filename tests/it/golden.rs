//! What the released version 0.1.0 wrote is still read. The files of
//! `tests/golden/0.1.0` are from one run of it: a bundle made from a registry
//! and signed by two holders, installed, and uninstalled with its data kept.

use std::path::{Path, PathBuf};

use fs_err as fs;
use lfctl::appliance::Appliance;
use lfctl::appliance::state::Status;
use lfctl::bundle::delta::Base;
use lfctl::bundle::lock::Lock;
use lfctl::bundle::receipt::Receipt;
use lfctl::host::releases::Releases;
use lfctl::host::trust::{TrustPolicy, TrustStore};
use lfctl::stack::release::Release;
use lfctl::stack::secret::SecretStore;
use lfctl::sys::paths::Paths;
use lfctl::sys::versioned;
use serde_json::Value;

const APPLIANCE: &str = "golden";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/0.1.0")
        .join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(golden(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

/// An appliance with these files of 0.1.0 in its directory.
fn appliance(root: &Path, files: &[(&str, &str)]) -> Appliance {
    let appliance = Appliance::named(&Paths::below(root), APPLIANCE).unwrap();
    fs::create_dir_all(appliance.dir()).unwrap();
    for (name, golden) in files {
        fs::write(appliance.dir().join(name), read(golden)).unwrap();
    }
    appliance
}

#[test]
fn the_state_of_an_installed_appliance_is_read() {
    let root = tempfile::tempdir().unwrap();
    let written = json("state.json");
    let appliance = appliance(root.path(), &[("state.json", "state.json")]);
    let state = appliance.state().unwrap().unwrap();
    // Whatever form this version gives it, nothing that names what runs is lost.
    appliance.write_state(&state).unwrap();
    let now = fs::read_to_string(appliance.dir().join("state.json")).unwrap();
    for known in ["/bundle", "/key", "/release/version", "/listen"] {
        let value = written.pointer(known).unwrap().to_string();
        assert!(now.contains(&value), "{known} {value} is not in {now}");
    }
    let images = written["images"].as_object().unwrap();
    assert_eq!(state.image_ids().len(), images.len());
    let again = appliance.state().unwrap().unwrap();
    assert_eq!(again.stack, state.stack);
    assert_eq!(again.image_ids(), state.image_ids());
}

#[test]
fn the_state_of_an_uninstalled_appliance_is_read() {
    let root = tempfile::tempdir().unwrap();
    let appliance = appliance(root.path(), &[("state.json", "state-uninstalled.json")]);
    let state = appliance.state().unwrap().unwrap();
    assert_eq!(state.status, Status::Uninstalled);
}

#[test]
fn the_journal_is_read_and_written_on() {
    let root = tempfile::tempdir().unwrap();
    let appliance = appliance(root.path(), &[("journal.jsonl", "journal.jsonl")]);
    let journal = appliance.journal();
    let text = String::from_utf8(read("journal.jsonl")).unwrap();
    assert_eq!(journal.entries().unwrap().len(), text.lines().count());
    assert_eq!(journal.unfinished().unwrap(), None);
}

/// As a power cut leaves it: each beginning of the file is a journal of a run
/// that broke off, and the command and the step are known.
#[test]
fn a_journal_that_breaks_off_tells_where() {
    let text = String::from_utf8(read("journal.jsonl")).unwrap();
    let mut unfinished = 0;
    for lines in 1..=text.lines().count() {
        let root = tempfile::tempdir().unwrap();
        let appliance = appliance(root.path(), &[]);
        let cut: Vec<_> = text.lines().take(lines).collect();
        fs::write(appliance.dir().join("journal.jsonl"), cut.join("\n") + "\n").unwrap();
        let last: Value = serde_json::from_str(cut[lines - 1]).unwrap();
        let found = appliance.journal().unfinished().unwrap();
        assert_eq!(found.is_none(), last["record"] == "run-end", "{last}");
        if let Some(run) = found {
            assert!(["install", "uninstall"].contains(&run.command.as_str()));
            if last["record"] == "step-begin" {
                assert_eq!(run.step.as_deref(), last["step"].as_str());
            }
            unfinished += 1;
        }
    }
    assert!(unfinished > 30, "only {unfinished} beginnings");
}

#[test]
fn the_secrets_are_read() {
    let file = golden("secrets.toml");
    let secrets: SecretStore = versioned::load(&file).unwrap().unwrap();
    let written: toml::Table = String::from_utf8(read("secrets.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let written = written["secrets"].as_table().unwrap();
    assert!(written.len() >= 2);
    for (name, value) in written {
        let read = secrets.get(name).unwrap();
        assert_eq!(Some(read.expose()), value.as_str(), "{name}");
    }
}

#[test]
fn the_releases_that_a_host_has_seen_are_read() {
    let releases = Releases::load(&golden("releases.json")).unwrap();
    let state = json("state.json");
    let release: Release = serde_json::from_value(state["release"].clone()).unwrap();
    assert!(releases.has_seen(&release));
    let mut older = release.clone();
    older.counter = 0;
    assert!(releases.check(&older).is_err());
}

#[test]
fn a_lock_is_read() {
    let lock = Lock::parse(&golden("golden.lock"), &read("golden.lock")).unwrap();
    let text = lock.to_text().unwrap();
    let written: toml::Table = String::from_utf8(read("golden.lock"))
        .unwrap()
        .parse()
        .unwrap();
    let images = written["platforms"]["linux/amd64"]["images"].as_table();
    let images = images.unwrap();
    assert_eq!(images.len(), 2);
    for digest in images.values() {
        assert!(text.contains(digest.as_str().unwrap()), "{text}");
    }
}

#[test]
fn a_receipt_is_read() {
    let receipt: Receipt = versioned::load(&golden("receipt.json")).unwrap().unwrap();
    let written = json("receipt.json");
    assert_eq!(written["index"], receipt.index.to_string());
    assert_eq!(receipt.countersigned_by.len(), 1);
    assert_eq!(written["images"], receipt.images);
}

#[test]
fn an_inventory_is_read() {
    let file = golden("inventory.json");
    let base = Base::of_inventory(&file, &read("inventory.json")).unwrap();
    let host = json("inventory.json")["host"].clone();
    assert_eq!(base.name, format!("host {}", host.as_str().unwrap()));
}

#[test]
fn a_trust_policy_is_read() {
    let policy = TrustPolicy::load(&golden("trust-policy.toml")).unwrap();
    assert_eq!(policy.signatures(), 2);
    let keys = TrustStore::load(&golden("trusted-keys.d"), &golden("revoked-keys")).unwrap();
    let mut holders: Vec<_> = keys.list().map(|key| policy.holder(key.key.id())).collect();
    holders.sort();
    assert_eq!(holders, ["security", "vendor"]);
}
