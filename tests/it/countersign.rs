//! A host that asks for the signatures of several holders.

use std::path::Path;

use fs_err as fs;
use lfctl::fake::bundle::Fake;
use serde_json::Value;

use crate::support::bundle::run;
use crate::support::engine::Rig;
use crate::trust::{Desk, bundle};

/// A host that trusts a vendor, whose key signed `a.tar`, and a team of its
/// own, and asks for both.
fn two() -> Desk {
    let desk = Desk::new();
    desk.ok(&["key", "generate", "--no-password", "-o", "site"]);
    desk.ok(&["trust", "add", "old.pub", "--holder", "vendor"]);
    desk.ok(&["trust", "add", "site.pub", "--holder", "security"]);
    Fake::small()
        .unwrap()
        .write(&desk.path("a.tar"), &desk.key("old"))
        .unwrap();
    desk.ok(&["bundle", "verify", "a.tar"]);
    desk.ok(&["trust", "require", "2"]);
    desk
}

/// Name of the signature of `bundle` by a key of the desk.
fn beside(desk: &Desk, bundle: &str, key: &str) -> String {
    format!("{bundle}.{}.minisig", desk.public(key).id())
}

const VERIFY: [&str; 3] = ["bundle", "verify", "a.tar"];
const SIGN: [&str; 5] = ["bundle", "sign", "a.tar", "--key", "site.key"];

#[test]
fn a_second_holder_has_to_sign_where_two_are_asked_for() {
    let desk = two();
    desk.refuses(&VERIFY, &["1 of 2 holders", "vendor", "lfctl bundle sign"]);
    desk.refuses(&["bundle", "inspect", "a.tar"], &["1 of 2"]);
    desk.ok(&SIGN);
    let receipt: Value =
        serde_json::from_str(&desk.ok(&[&VERIFY[..], &["--json"]].concat())).unwrap();
    let ids = ["old", "site"].map(|key| desk.public(key).id().to_string());
    assert_eq!(receipt["key-id"], ids[0]);
    assert_eq!(receipt["countersigned-by"], serde_json::json!([ids[1]]));
    assert!(
        desk.ok(&VERIFY)
            .contains(&format!("also by     key {}", ids[1]))
    );

    // A key that was named counts as itself, and the host asks for two still.
    let named = ["--trusted-key", "old.pub"];
    desk.refuses(
        &[&["bundle", "verify", "a.tar"], &named[..]].concat(),
        &["1 of 2"],
    );
    let both = [&VERIFY[..], &named, &["--trusted-key", "site.pub"]].concat();
    desk.ok(&both);

    // The maker's own signature inside cannot be replaced by others.
    desk.ok(&["trust", "revoke", &ids[0]]);
    desk.refuses(&VERIFY, &["revoked"]);
}

#[test]
fn a_countersignature_counts_only_for_what_was_signed() {
    let desk = two();
    desk.ok(&SIGN);
    let file = desk.path(&beside(&desk, "a.tar", "site"));
    let right = fs::read(&file).unwrap();

    let mut other = Fake::small().unwrap();
    other.release.counter = 2;
    other.write(&desk.path("b.tar"), &desk.key("old")).unwrap();
    fs::copy(&file, desk.path(&beside(&desk, "b.tar", "site"))).unwrap();
    desk.refuses(
        &["bundle", "verify", "b.tar"],
        &["1 of 2", "b.tar.", "is wrong"],
    );

    for at in [60, right.len() - 10] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&file, wrong).unwrap();
        desk.refuses(&VERIFY, &["1 of 2", "a.tar."]);
    }
    fs::remove_file(&file).unwrap();
    desk.refuses(&VERIFY, &["1 of 2"]);

    // On a medium of its own it is found where it is said to be.
    fs::create_dir(desk.path("stick")).unwrap();
    fs::write(
        desk.path("stick").join(beside(&desk, "a.tar", "site")),
        right,
    )
    .unwrap();
    desk.refuses(&VERIFY, &["1 of 2"]);
    desk.ok(&[&VERIFY[..], &["--parts-in", "stick"]].concat());
}

#[test]
fn nobody_signs_twice() {
    let desk = two();
    desk.ok(&[
        "trust",
        "statement",
        "--introduce",
        "new.pub",
        "--key",
        "old.key",
        "-o",
        "r.json",
    ]);
    desk.ok(&["trust", "apply", "r.json"]);
    assert_eq!(desk.trusts("new"), Some(true));
    desk.ok(&["bundle", "sign", "a.tar", "--key", "new.key"]);
    desk.refuses(&VERIFY, &["1 of 2"]);
    // Nor can more be asked for than could ever sign.
    let output = desk.run(&["trust", "require", "3"]);
    assert_eq!(output.status.code(), Some(2));
    desk.ok(&SIGN);
    desk.ok(&VERIFY);
    let audit = desk.audit();
    for word in ["trust require", "2 of 2 holders", "held by security"] {
        assert!(audit.contains(word), "no `{word}` in {audit}");
    }
}

#[test]
fn parts_are_countersigned_as_the_bundle_in_them() {
    let desk = two();
    desk.ok(&SIGN);
    let split = [
        "bundle", "split", "a.tar", "--size", "64K", "-o", "parts", "--key", "old.key",
    ];
    desk.ok(&split);
    let verify = ["bundle", "verify", "parts/a.tar.parts"];
    desk.refuses(&verify, &["1 of 2"]);
    desk.ok(&["bundle", "sign", "parts/a.tar.parts", "--key", "site.key"]);
    assert!(
        desk.path("parts")
            .join(beside(&desk, "a.tar", "site"))
            .exists()
    );
    desk.ok(&verify);
    // It is the same signature.
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    let name = beside(&desk, "a.tar", "site");
    assert_eq!(
        text(&desk.path(&name)),
        text(&desk.path("parts").join(name))
    );
}

#[test]
#[ignore = "needs minisign"]
fn stock_minisign_checks_and_makes_countersignatures() {
    let desk = two();
    desk.ok(&SIGN);
    let at = |name: &str| desk.path(name).display().to_string();
    let file = at(&beside(&desk, "a.tar", "site"));
    run("tar", &["-xf", &at("a.tar"), "-C", &at("."), "index.json"]);
    let index = at("index.json");
    run(
        "minisign",
        &["-Vm", &index, "-x", &file, "-p", &at("site.pub")],
    );

    fs::remove_file(&file).unwrap();
    run(
        "minisign",
        &[
            "-S",
            "-W",
            "-s",
            &at("site.key"),
            "-m",
            &index,
            "-x",
            &file,
            "-t",
            "ticket 17",
        ],
    );
    desk.ok(&VERIFY);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn nothing_is_loaded_before_all_have_signed() {
    let rig = Rig::new().await;
    let desk = two();
    bundle(&rig, 1)
        .write(&desk.path("l.tar"), &desk.key("old"))
        .unwrap();
    let load = ["bundle", "load", "l.tar"];
    desk.refuses(&load, &["1 of 2"]);
    let private = format!("lfctl.local/{}-app", rig.name);
    assert!(!run("docker", &["images"]).contains(&private));
    desk.ok(&["bundle", "sign", "l.tar", "--key", "site.key"]);
    desk.ok(&load);
    assert!(run("docker", &["images"]).contains(&private));
}
