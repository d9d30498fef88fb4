//! Releases that are broken, taken up by an appliance that serves a client at
//! 200 events a second: each attempt ends on the release from before, and every
//! event that was acknowledged is there afterwards, once.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use super::{numbers, version};
use crate::support::host::{Host, docker, rehearsal, text};

/// Longer than any upgrade takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);

fn broken(fault: &str) -> String {
    text(&rehearsal().join(format!("bundles/rehearsal-{fault}.tar")))
}

/// `scripts/rehearsal/client`, until it is told to end.
struct Client {
    child: Child,
    until: PathBuf,
}

impl Client {
    fn start(host: &Host) -> Self {
        let until = host.dir.path().join("enough");
        let child = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/scripts/rehearsal/client"
            ))
            .arg("--secrets")
            .arg(host.state_dir().join("secrets.toml"))
            .args(["--url", &format!("http://127.0.0.1:{}", host.port)])
            .args(["--rate", "200", "--seconds", "3000", "--until"])
            .arg(&until)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, until }
    }

    /// Ends it, lets it read everything back and returns its report.
    fn report(mut self) -> Value {
        fs::write(&self.until, "").unwrap();
        let mut report = String::new();
        let mut out = self.child.stdout.take().unwrap();
        std::io::Read::read_to_string(&mut out, &mut report).unwrap();
        self.child.wait().unwrap();
        serde_json::from_str(&report).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an upgrade to a release whose migration never ends, and presses
/// Ctrl-C while it is at work.
fn interrupted_in_its_migration(host: &Host, bundle: &str) {
    let upgrade = upgrade(host, bundle);
    let mut child = host.command(&upgrade).spawn().unwrap();
    let begun = Instant::now();
    let name = format!("name={}-migrat", host.name);
    while docker(&["ps", "-q", "--filter", &name]).is_empty() {
        assert!(begun.elapsed() < LIMIT, "no migration began");
        assert_eq!(child.try_wait().unwrap(), None, "ended without migration");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Its last migration is the one that does not end.
    std::thread::sleep(Duration::from_secs(8));
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(10));
}

fn upgrade<'a>(host: &'a Host, bundle: &'a str) -> Vec<&'a str> {
    let way = ["upgrade", "--offline", bundle, "--no-backup"];
    [&way[..], &["--name", &host.name]].concat()
}

/// Types the command that a refusal names to close what a migration left open.
fn close(refusal: &str) {
    let typed = refusal
        .split('`')
        .skip(1)
        .step_by(2)
        .find(|typed| typed.starts_with("docker"))
        .unwrap_or_else(|| panic!("no command closes it: {refusal}"));
    let output = Command::new("sh").args(["-c", typed]).output().unwrap();
    assert!(output.status.success(), "{typed}: {output:?}");
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_client_of_an_appliance_that_takes_up_broken_releases_loses_nothing() {
    let host = Host::ready();
    let good = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    host.ok(&host.install(&good));
    let first = version(&host);
    let running = host.in_engine();
    let client = Client::start(&host);
    let is_back = |fault: &str| {
        assert_eq!(version(&host), first, "{fault}");
        assert_eq!(host.in_engine().len(), running.len(), "{fault}");
        assert_eq!(numbers(&host).len(), 1, "{fault}");
    };

    for fault in ["unhealthy", "crash-loop"] {
        let bundle = broken(fault);
        let told = host.fails(10, &upgrade(&host, &bundle));
        assert!(told.contains("was rolled back"), "{told}");
        is_back(fault);
    }
    interrupted_in_its_migration(&host, &broken("migration-hangs"));
    is_back("migration-hangs");
    let (fails, next) = (broken("migration-fails"), super::bundle(2));
    let refusal = host.fails(5, &upgrade(&host, &fails));
    close(&refusal);
    host.fails(10, &upgrade(&host, &fails));
    is_back("migration-fails");

    let refusal = host.fails(5, &upgrade(&host, &next));
    close(&refusal);
    host.ok(&upgrade(&host, &next));
    assert_ne!(version(&host), first);
    let report = client.report();
    println!("{report:#}");
    assert!(
        report["acknowledged"].as_u64().unwrap() > 2000,
        "{report:#}"
    );
    for none in ["lost", "duplicated", "cut", "unreachable", "failed"] {
        assert_eq!(report[none], 0, "{report:#}");
    }
}
