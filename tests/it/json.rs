//! Every document that a host without an engine can print fits its published
//! schema. `Desk::run` holds it against it.

use lfctl::fake::bundle::Fake;

use crate::support::host::text;
use crate::trust::Desk;

#[test]
fn what_is_printed_without_an_engine_fits_its_schema() {
    let desk = Desk::new();
    for name in ["a.tar", "b.tar"] {
        let bundle = Fake::small().unwrap();
        bundle.write(&desk.path(name), &desk.key("old")).unwrap();
    }
    // Another host, on which an older release runs.
    let mut newer = Fake::small().unwrap();
    newer.release.counter = 2;
    newer.release.version = semver::Version::new(1, 1, 0);
    newer.upgrade.from = vec!["<1.1.0".parse().unwrap()];
    newer.write(&desk.path("c.tar"), &desk.key("old")).unwrap();
    let history =
        r#"[{"release":{"name":"rehearsal","version":"1.0.0","counter":1},"current":true}]"#;
    fs_err::write(desk.path("history.json"), history).unwrap();
    let old = desk.public("old").id().to_string();
    let engine = format!("unix://{}", text(&desk.path("no.sock")));
    let commands: &[&[&str]] = &[
        &["key", "generate", "--no-password", "-o", "third"],
        &["key", "show", "third.pub"],
        &["trust", "add", "new.pub"],
        &["trust", "list"],
        &["trust", "require", "1"],
        &[
            "trust",
            "statement",
            "--introduce",
            "third.pub",
            "--key",
            "old.key",
            "-o",
            "s.json",
        ],
        &["trust", "apply", "s.json"],
        &["bundle", "verify", "a.tar"],
        &["verify", "a.tar"],
        &["bundle", "inspect", "a.tar"],
        &["bundle", "diff", "a.tar", "b.tar"],
        &["bundle", "sign", "a.tar", "--key", "new.key"],
        &[
            "bundle", "split", "a.tar", "--size", "1M", "--key", "old.key", "-o", "parts",
        ],
        &["doctor", "--list"],
        &["plan", "--history", "history.json", "a.tar", "c.tar"],
        &["status", "--engine", &engine],
        &["audit", "verify", "--host"],
        &["audit", "show", "--host"],
        &["trust", "revoke", &old],
    ];
    for command in commands {
        let printed = desk.ok(&[command, &["--json"][..]].concat());
        assert!(printed.starts_with(['{', '[']), "{command:?}: {printed}");
    }
    println!("documents: {}", commands.len());
}
