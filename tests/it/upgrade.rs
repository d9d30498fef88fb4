//! From one release to the next and back, on a real engine with real
//! datastores.

use serde_json::Value;

use crate::support::host::{Host, rehearsal, text};

fn bundle(release: u32) -> String {
    text(&rehearsal().join(format!("bundles/rehearsal-{release}.tar")))
}

fn version(host: &Host) -> String {
    let url = format!("http://127.0.0.1:{}/api/public/health", host.port);
    let output = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "20", &url])
        .output()
        .unwrap();
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    body["version"].as_str().unwrap().to_owned()
}

fn numbers(host: &Host) -> Vec<(u64, String, bool)> {
    let history = host.ok(&["history", "--json", "--name", &host.name]);
    let rows: Vec<Value> = serde_json::from_str(&history).unwrap();
    rows.iter()
        .map(|row| {
            (
                row["number"].as_u64().unwrap(),
                row["made-by"].as_str().unwrap().to_owned(),
                row["current"].as_bool().unwrap(),
            )
        })
        .collect()
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_release_is_upgraded_and_rolled_back_with_its_data() {
    let host = Host::ready();
    let (old, new) = (bundle(1), bundle(2));
    host.ok(&host.install(&old));
    let first = version(&host);
    let upgrade = ["upgrade", "--offline", &new, "--name", &host.name];

    let running = host.in_engine();
    let plan = host.ok(&[&upgrade[..], &["--dry-run"]].concat());
    assert!(plan.contains("do   migrate the databases"), "{plan}");
    assert!(plan.contains("of which"), "{plan}");
    host.ok(&[&upgrade[..], &["--stage"]].concat());
    assert_eq!(host.in_engine(), running, "staging touched what serves");
    assert_eq!(version(&host), first);

    host.ok(&upgrade);
    let second = version(&host);
    assert_ne!(second, first);
    assert_eq!(
        numbers(&host),
        [
            (1, "install".to_owned(), false),
            (2, "upgrade".to_owned(), true)
        ]
    );
    // The same bundle again is nothing to do.
    host.ok(&upgrade);
    assert_eq!(numbers(&host).len(), 2);
    host.ok(&["recover", "--name", &host.name]);

    host.ok(&["rollback", "--name", &host.name, "--yes"]);
    assert_eq!(version(&host), first);
    assert_eq!(numbers(&host)[2], (3, "rollback".to_owned(), true));

    host.ok(&["uninstall", "--purge", "--name", &host.name, "--yes"]);
    assert_eq!(host.in_engine(), Vec::<String>::new());
}
