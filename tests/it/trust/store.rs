//! What the host keeps of whom it believes, and who may touch it. No engine.

use fs_err as fs;
use lfctl::fake::bundle::Fake;
use serde_json::Value;

use super::Desk;
use crate::support::bundle::run;

#[test]
fn a_key_that_is_named_for_one_run_is_refused_once_it_was_revoked() {
    let desk = Desk::new();
    let fake = Fake::small().unwrap();
    fake.write(&desk.path("a.tar"), &desk.key("new")).unwrap();
    let verify = ["bundle", "verify", "a.tar", "--trusted-key", "new.pub"];
    desk.ok(&verify);
    desk.ok(&["trust", "revoke", &desk.public("new").id().to_string()]);
    desk.refuses(&verify, &["revoked on this host"]);
}

#[test]
fn an_older_statement_revokes_and_introduces_nothing() {
    let desk = Desk::new();
    desk.ok(&["key", "generate", "--no-password", "-o", "third"]);
    let id = desk.public("third").id().to_string();
    let sign = |counter: &str, arguments: &[&str], output: &str| {
        let statement = [
            "trust",
            "statement",
            "--key",
            "old.key",
            "--counter",
            counter,
        ];
        desk.ok(&[&statement[..], arguments, &["-o", output]].concat());
    };
    sign(
        "1",
        &["--introduce", "new.pub", "--revoke", &id],
        "one.json",
    );
    sign("2", &["--revoke", "01"], "two.json");
    sign("2", &["--revoke", "02"], "twin.json");
    sign("3", &["--introduce", "new.pub"], "three.json");
    desk.ok(&["trust", "apply", "two.json"]);
    desk.ok(&["trust", "apply", "two.json"]);
    assert!(!desk.audit().contains("same-counter"));
    desk.refuses(
        &["trust", "apply", "one.json"],
        &["statement 1 is older", "lfctl trust add"],
    );
    assert_eq!(desk.trusts("new"), None);
    desk.refuses(&["trust", "add", "third.pub"], &["revoked"]);
    let twin = desk.run(&["trust", "apply", "twin.json"]);
    let text = String::from_utf8_lossy(&twin.stderr);
    assert!(
        twin.status.success() && text.contains("another statement 2"),
        "{text}"
    );
    assert!(desk.audit().contains("same-counter"));
    desk.ok(&["trust", "apply", "three.json"]);
    assert_eq!(desk.trusts("new"), Some(true));
}

#[test]
fn a_trust_store_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    for dir in ["root/etc/lfctl", "root/etc/lfctl/trusted-keys.d"] {
        for mode in [0o775, 0o757] {
            fs::set_permissions(desk.path(dir), PermissionsExt::from_mode(mode)).unwrap();
            desk.refuses(&["trust", "list"], &["other users", "chmod go-w", dir]);
        }
        fs::set_permissions(desk.path(dir), PermissionsExt::from_mode(0o755)).unwrap();
        desk.ok(&["trust", "list"]);
    }
    // Neither waits for what never comes nor reads what lies elsewhere.
    let planted = desk.path("root/etc/lfctl/trusted-keys.d/a.pub");
    fs::os::unix::fs::symlink(desk.path("new.pub"), &planted).unwrap();
    assert_eq!(desk.run(&["trust", "list"]).status.code(), Some(74));
    fs::remove_file(&planted).unwrap();
    run("mkfifo", &[desk.path("fifo").to_str().unwrap()]);
    assert_eq!(desk.run(&["trust", "add", "fifo"]).status.code(), Some(74));
    assert_eq!(
        desk.run(&["trust", "apply", "fifo"]).status.code(),
        Some(74)
    );
}

#[test]
fn a_name_on_a_medium_cannot_move_the_cursor() {
    let desk = Desk::new();
    let name = "a\u{1b}[2Jb\u{202e}rat.tar";
    fs::write(desk.path(name), "no bundle").unwrap();
    let output = desk.run(&["trust", "add", name]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let output = desk.run(&["trust", "add", &format!("{name}.gone")]);
    let gone = String::from_utf8_lossy(&output.stderr);
    assert!(gone.contains("rat.tar.gone"), "{gone}");
    for text in [text, gone] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn what_is_done_at_once_is_not_lost() {
    let desk = Desk::new();
    let ids: Vec<_> = (1..=16).map(|id| format!("{id:016X}")).collect();
    for (id, file) in ids.iter().zip(1..) {
        let statement = ["trust", "statement", "--revoke", id, "--key", "old.key"];
        desk.ok(&[&statement[..], &["-o", &format!("{file}.json")]].concat());
    }
    std::thread::scope(|scope| {
        for file in 1..=ids.len() {
            let desk = &desk;
            scope.spawn(move || desk.ok(&["trust", "apply", &format!("{file}.json")]));
            let by_hand = format!("{:016X}", 0xF0 + file);
            scope.spawn(move || desk.ok(&["trust", "revoke", &by_hand]));
        }
    });
    let list: Value = serde_json::from_str(&desk.ok(&["trust", "list", "--json"])).unwrap();
    let entries = list.as_array().unwrap().iter();
    let revoked = entries.filter(|entry| entry["revoked"] == true);
    assert_eq!(revoked.count(), 2 * ids.len());
    let audit = desk.audit();
    desk.ok(&["audit", "verify"]);
    assert_eq!(audit.lines().count(), 2 * ids.len(), "{audit}");
}

#[test]
fn an_id_that_no_key_has_is_said_and_refused_all_the_same() {
    let desk = Desk::new();
    let said = |id: &str| {
        let output = desk.run(&["trust", "revoke", id]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // As it is when the end of an id was lost while it was read aloud.
    let text = said("ABCD");
    assert!(text.contains("holds no key 000000000000ABCD"), "{text}");
    assert_eq!(desk.trusts("old"), Some(true));
    let text = said(&desk.public("old").id().to_string());
    assert!(!text.contains("holds no key"), "{text}");
}
