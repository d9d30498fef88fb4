//! From one release to the next and back, on a real engine with real
//! datastores.

use serde_json::Value;

use crate::support::host::{Host, docker, rehearsal, text};

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
    host.ok_as_planned(&host.install(&old));
    let first = version(&host);
    let upgrade = ["upgrade", "--offline", &new, "--name", &host.name];

    let running = host.in_engine();
    let plan = host.ok(&[&upgrade[..], &["--dry-run"]].concat());
    assert!(plan.contains("do   migrate the databases"), "{plan}");
    assert!(plan.contains("of which"), "{plan}");
    host.ok(&[&upgrade[..], &["--stage"]].concat());
    assert_eq!(host.in_engine(), running, "staging touched what serves");
    assert_eq!(version(&host), first);

    host.ok_as_planned(&upgrade);
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

    host.ok_as_planned(&["rollback", "--name", &host.name]);
    assert_eq!(version(&host), first);
    assert_eq!(numbers(&host)[2], (3, "rollback".to_owned(), true));

    host.ok(&["uninstall", "--purge", "--name", &host.name, "--yes"]);
    assert_eq!(host.in_engine(), Vec::<String>::new());
}

/// Spans of the project that was there from the beginning.
fn spans(host: &Host, table: &str) -> String {
    let container = host.container("clickhouse");
    let client = [
        "clickhouse-client",
        "--config-file",
        "/etc/clickhouse-client/lfctl.xml",
    ];
    let query =
        format!("SELECT count(), sum(cityHash64(name)) FROM {table} WHERE name LIKE 'step %'");
    docker(&[&["exec", &container][..], &client, &["--query", &query]].concat())
}

#[test]
#[ignore = "needs the rehearsal"]
fn the_backup_of_an_upgrade_leads_back_where_the_databases_do_not() {
    let host = Host::ready();
    let (old, new) = (bundle(2), bundle(3));
    host.ok(&host.install(&old));
    fill(&host);
    let before = spans(&host, "events_full");
    assert!(before.starts_with("2000\t"), "{before}");
    let first = version(&host);
    let upgrade = ["upgrade", "--offline", &new, "--name", &host.name];

    let running = host.in_engine();
    let refusal = host.fails(5, &upgrade);
    assert!(
        refusal.contains("--offline BUNDLE --backup-to DIR`"),
        "{refusal}"
    );
    assert_eq!(host.in_engine(), running);
    host.ok_as_planned(&[&upgrade[..], &["--backup-to", "repository"]].concat());
    assert_ne!(version(&host), first);
    let secrets = fs_err::read(host.state_dir().join("secrets.toml")).unwrap();

    let rollback = ["rollback", "--name", &host.name];
    let refusal = host.fails(5, &rollback);
    let (_, typed) = refusal.split_once("`lfctl restore").unwrap();
    let (typed, _) = typed.split_once('`').unwrap();
    let mut typed = shell_words::split(typed).unwrap();
    // Every command of a test host gets its root.
    let root = typed.iter().position(|word| word == "--root").unwrap();
    assert_eq!(typed.drain(root..root + 2).nth(1), Some(text(&host.root())));
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    host.ok_as_planned(&[&["restore"][..], &typed].concat());
    assert_eq!(version(&host), first);
    assert_eq!(spans(&host, "events_full"), before);
    assert_eq!(
        fs_err::read(host.state_dir().join("secrets.toml")).unwrap(),
        secrets
    );
    assert_eq!(numbers(&host)[2], (3, "restore".to_owned(), true));
    // From then on the host writes backups there without being told.
    let plan = host.ok(&[&upgrade[..], &["--dry-run"]].concat());
    assert!(plan.contains("first, a backup"), "{plan}");
}

fn fill(host: &Host) {
    let data = format!("{}/scripts/rehearsal/data", env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(data)
        .args(["--name", &host.name, "--rows", "2000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
