//! Day two on a real engine with real datastores.

use serde_json::Value;

use crate::support::host::{Host, rehearsal, text};

fn bundle() -> String {
    text(&rehearsal().join("bundles/rehearsal-1.tar"))
}

/// What a check of doctor came to: `pass`, or the severity of its finding.
fn outcome(host: &Host, check: &str) -> String {
    let output = host.run(&["doctor", "--json", "--only", check, "--name", &host.name]);
    let text = String::from_utf8_lossy(&output.stdout);
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let checks = document["checks"].as_array().into_iter().flatten();
    let found: Vec<_> = checks.filter(|one| one["id"] == check).collect();
    assert_eq!(found.len(), 1, "{text}");
    let word = found[0]["severity"].as_str();
    let word = word.or_else(|| found[0]["outcome"].as_str());
    word.map_or_else(|| panic!("{text}"), str::to_owned)
}

#[test]
#[ignore = "needs the rehearsal"]
fn an_appliance_is_stopped_on_purpose_and_started_as_it_was() {
    let host = Host::ready();
    host.ok(&host.install(&bundle()));
    let running = host.in_engine();
    let name = ["--name", host.name.as_str()];

    let plan = host.ok(&[&["stop", "--dry-run"][..], &name].concat());
    assert!(plan.contains("do   stop gateway"), "{plan}");
    assert_eq!(host.in_engine(), running);
    host.ok(&[&["stop"][..], &name].concat());
    assert_eq!(host.in_engine(), running, "containers stay");
    assert_eq!(outcome(&host, "stack.services"), "warning");
    let status = host.ok(&[&["status"][..], &name].concat());
    assert!(status.contains("stopped on purpose: "), "{status}");
    // A second one is nothing to do.
    host.ok(&[&["stop"][..], &name].concat());

    host.ok(&[&["start"][..], &name].concat());
    assert_eq!(host.in_engine(), running);
    assert_eq!(outcome(&host, "stack.services"), "pass");
    assert_eq!(outcome(&host, "data.end-to-end"), "pass");

    host.ok(&[&["restart", "worker"][..], &name].concat());
    assert_eq!(outcome(&host, "stack.services"), "pass");
    let status = host.ok(&[&["status"][..], &name].concat());
    assert!(!status.contains("stopped on purpose"), "{status}");
    host.ok(&["uninstall", "--purge", "--name", &host.name, "--yes"]);
}

#[test]
#[ignore = "needs the rehearsal"]
fn another_address_is_applied_without_a_bundle_and_taken_back() {
    let host = Host::ready();
    host.ok(&host.install(&bundle()));
    let name = ["--name", host.name.as_str()];
    let unchanged = host.run(&[&["apply"][..], &name].concat());
    assert!(String::from_utf8_lossy(&unchanged.stderr).contains("nothing to do"));
    let site = host
        .root()
        .join(format!("etc/lfctl/{}/site.toml", host.name));
    let old = std::fs::read_to_string(&site).unwrap();
    let new = old.replace("http://localhost:", "http://127.0.0.1:");
    assert_ne!(old, new);
    std::fs::write(&site, &new).unwrap();
    assert_eq!(outcome(&host, "config.applied"), "warning");
    let plan = host.ok(&[&["apply", "--dry-run"][..], &name].concat());
    assert!(
        plan.contains("start the new web beside the old one"),
        "{plan}"
    );
    host.ok(&[&["apply"][..], &name].concat());
    for check in ["config.applied", "stack.services", "data.end-to-end"] {
        assert_eq!(outcome(&host, check), "pass", "{check}");
    }
    let history = host.ok(&[&["history"][..], &name].concat());
    assert!(history.contains("same bundle, other settings"), "{history}");
    host.ok(&[&["rollback", "--yes"][..], &name].concat());
    assert_eq!(std::fs::read_to_string(&site).unwrap(), old);
    host.ok(&["uninstall", "--purge", "--name", &host.name, "--yes"]);
}

#[test]
#[ignore = "needs the rehearsal and systemd"]
fn systemd_keeps_the_appliance_and_a_support_bundle_has_no_secret() {
    let host = Host::ready();
    host.ok(&host.install(&bundle()));
    let name = ["--name", host.name.as_str()];
    let dir = host.root().join("units with space");
    let to = text(&dir);
    let print = ["systemd", "print", "--backup-to", "/mnt/b", "--to", &to];
    let printed = host.ok(&[&print[..], &name, &["--json"]].concat());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let units: Vec<_> = printed["units"].as_array().unwrap().iter().collect();
    let files: Vec<_> = units
        .iter()
        .map(|unit| dir.join(unit["name"].as_str().unwrap()))
        .collect();
    assert_eq!(files.len(), 5);
    let verified = std::process::Command::new("systemd-analyze")
        .arg("verify")
        .args(&files)
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    // What the unit runs at boot is a command that works here.
    let recover = files
        .iter()
        .find(|file| text(file).ends_with("recover.service"));
    let unit = std::fs::read_to_string(recover.unwrap()).unwrap();
    let call = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words = shell_words::split(call.unwrap()).unwrap();
    let ran = std::process::Command::new(&words[0])
        .args(&words[1..])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");

    let file = text(&host.root().join("support.tar.gz"));
    let printed = host.ok(&[&["support-bundle", "-o", &file, "--json"][..], &name].concat());
    assert!(printed.contains("doctor.json") && printed.contains("logs/web.txt"));
    let packed = flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap());
    let everything = std::io::read_to_string(packed).unwrap();
    let secrets = std::fs::read_to_string(host.state_dir().join("secrets.toml")).unwrap();
    let secrets: toml::Table = secrets.parse().unwrap();
    let values: Vec<_> = secrets["secrets"].as_table().unwrap().values().collect();
    assert!(values.len() > 5);
    for value in values {
        assert!(!everything.contains(value.as_str().unwrap()), "a secret");
    }

    let plan = host.ok(&[&["uninstall", "--dry-run"][..], &name].concat());
    assert!(plan.contains("recover.service"), "{plan}");
    host.ok(&[&["uninstall", "--purge", "--yes"][..], &name].concat());
    assert!(files.iter().all(|file| !file.exists()));
}
