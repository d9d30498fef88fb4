//! The signed proof that nothing leaves, on a real appliance: what it says of a
//! sealed one, of a network that was opened, and of a caller that was planted.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::support::host::{Host, docker, rehearsal, text};

fn arguments(host: &Host) -> Vec<&str> {
    let mut arguments = vec!["doctor", "--prove-airgap", "--minutes", "0", "-o", "proof"];
    arguments.extend(["--name", &host.name]);
    arguments
}

fn report(host: &Host) -> Value {
    let text = fs::read(host.dir.path().join("proof.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Whether stock minisign takes both files under the host's key.
fn minisign_takes(host: &Host) -> bool {
    let key = host.root().join("etc/lfctl/host.pub");
    ["proof.json", "proof.html"].iter().all(|file| {
        let checked = Command::new("minisign")
            .args(["-V", "-q", "-m", file, "-p", &text(&key)])
            .current_dir(host.dir.path())
            .status()
            .unwrap();
        checked.success()
    })
}

fn findings(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|leak| {
            let text = |key: &str| leak[key].as_str().unwrap().to_owned();
            format!("{}: {}", text("service"), text("what"))
        })
        .collect()
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_sealed_appliance_is_proven_and_an_opened_one_is_not() {
    let host = Host::ready();
    let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    host.ok(&host.install(&bundle));

    host.ok(&arguments(&host));
    let sealed = report(&host);
    assert_eq!(sealed["verdict"], "proven", "{:?}", findings(&sealed));
    let containers = sealed["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 7);
    for seen in containers {
        let attempts = seen["attempts"].as_array().unwrap();
        for kind in ["call-home", "public", "private", "metadata", "host", "name"] {
            assert!(attempts.iter().any(|one| one["kind"] == kind), "{kind}");
        }
        for protocol in ["tcp", "udp", "dns", "icmp"] {
            let tried = |one: &Value| one["protocol"] == protocol;
            assert!(attempts.iter().any(tried), "{protocol}");
        }
    }
    // The update check is seen, and told from what nobody knows.
    let watched = sealed["watched"].as_array().unwrap();
    let is_update = |one: &&Value| one["service"] == "web" && one["class"] == "call-home";
    assert!(watched.iter().any(|one| is_update(&one)), "{watched:?}");
    assert!(minisign_takes(&host));
    let key = host.root().join("etc/lfctl/host.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // One byte less, and the signature does not hold.
    let file = host.dir.path().join("proof.html");
    let page = fs::read_to_string(&file).unwrap();
    fs::write(&file, page.trim_end()).unwrap();
    assert!(!minisign_takes(&host));

    // A network with a way to the host.
    let web = host.container("web");
    docker(&["network", "connect", "bridge", &web]);
    host.fails(5, &arguments(&host));
    let open = findings(&report(&host));
    assert!(
        open.iter()
            .any(|one| one == "web: is on network bridge, which is not its own")
    );
    let reached = |one: &&String| one.starts_with("web: TCP 172.") && one.contains("REACHED");
    assert!(open.iter().any(|one| reached(&one)), "{open:?}");
    docker(&["network", "disconnect", "bridge", &web]);

    // A caller that looks for a way out on its own.
    let call =
        "setInterval(() => require('net').connect(4444, '192.0.2.7').on('error', () => {}), 300)";
    docker(&["exec", "-d", &host.container("worker"), "node", "-e", call]);
    host.fails(5, &arguments(&host));
    let called = findings(&report(&host));
    let planted = |one: &&String| one.starts_with("worker: TCP to 192.0.2.7 port 4444 by itself");
    assert!(called.iter().any(|one| planted(&one)), "{called:?}");
    assert!(minisign_takes(&host));
}
