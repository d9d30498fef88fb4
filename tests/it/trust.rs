//! Who is believed, and what is never taken back: rotation, revocation, old
//! bundles, and keys read aloud.

mod store;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use base64::prelude::{BASE64_STANDARD, Engine};
use fs_err as fs;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::host::audit::AuditEntry;
use lfctl::oci::digest::Digest;
use lfctl::sign::{IntroducedKey, SecretKey, TrustStatement, TrustedKey};
use lfctl::transfer::load::private_tag;
use serde_json::Value;

use crate::support::bundle::run;
use crate::support::engine::Rig;
use crate::support::schema;

const AUDIT: &str = "root/var/log/lfctl/_host/audit.jsonl";

/// A host with keys `old` and `new`, of which it trusts the old one.
pub(crate) struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in ["old", "new"] {
            desk.ok(&["key", "generate", "--no-password", "-o", name]);
        }
        desk.ok(&["trust", "add", "old.pub"]);
        // What comes is easier to count from nothing.
        fs::remove_file(desk.path(AUDIT)).unwrap();
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn key(&self, name: &str) -> SecretKey {
        let text = fs::read_to_string(self.path(&format!("{name}.key"))).unwrap();
        SecretKey::parse(&text, None).unwrap()
    }

    pub(crate) fn public(&self, name: &str) -> TrustedKey {
        self.key(name).public().clone()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_lfctl"))
            .args(["--root", "root"])
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        schema::check(arguments, &output.stdout);
        output
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    }

    /// Whether the host trusts a key, as it says itself.
    pub(crate) fn trusts(&self, name: &str) -> Option<bool> {
        let id = self.public(name).id().to_string();
        let list: Value = serde_json::from_str(&self.ok(&["trust", "list", "--json"])).unwrap();
        let entries = list.as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["id"] == id)?;
        Some(entry["revoked"] == false)
    }

    /// What an install of this bundle would do, as lfctl prints it.
    #[track_caller]
    pub(crate) fn plan_install(&self, bundle: &str, more: &[&str]) -> String {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.unwrap().port();
        let site = format!(
            "schema = 1\nurl = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             [admin]\nemail = \"admin@example.com\"\n"
        );
        fs::write(self.path("site.toml"), site).unwrap();
        let name = format!("p{port}");
        let arguments = ["install", "--offline", bundle, "--dry-run", "--json"];
        let site = ["--site", "site.toml", "--name", &name];
        self.ok(&[&arguments[..], &site, more].concat())
    }

    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.path(AUDIT)).unwrap_or_default()
    }
}

/// A bundle whose images nobody else has.
pub(crate) fn bundle(rig: &Rig, counter: u64) -> Fake {
    let layer = FakeLayer::files(&[("mark", rig.name.as_bytes())]);
    let mut fake = Fake::small().unwrap();
    fake.release.counter = counter;
    fake.release.version = semver::Version::new(counter, 0, 0);
    for key in ["app", "gateway"] {
        let image = FakeImage::new(vec![layer.clone(), FakeLayer::files(&[(key, b"")])]);
        let reference = format!("registry.test/{}-{key}:1", rig.name);
        rig.forget_reference(&reference);
        rig.forget_reference(&private_tag(&reference, &Digest::of(&image.config)));
        fake = fake.image(key, &reference, image);
    }
    fake
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_older_release_is_refused_unless_that_is_said_and_written_down() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    bundle(&rig, 1)
        .write(&desk.path("one.tar"), &desk.key("old"))
        .unwrap();
    bundle(&rig, 2)
        .write(&desk.path("two.tar"), &desk.key("old"))
        .unwrap();
    desk.ok(&["bundle", "load", "two.tar"]);
    desk.ok(&["bundle", "load", "two.tar"]);
    let older = ["bundle", "load", "one.tar"];
    desk.refuses(&older, &["counter 1", "counter 2", "--allow-downgrade"]);
    desk.refuses(
        &["install", "--offline", "one.tar"],
        &["counter 1", "counter 2"],
    );
    let allowed = [&older[..], &["--allow-downgrade"]].concat();
    desk.ok(&[&allowed[..], &["--dry-run"]].concat());
    desk.plan_install("one.tar", &["--allow-downgrade"]);
    assert!(!desk.audit().contains("allow-downgrade"));
    desk.ok(&allowed);
    assert!(desk.audit().contains("allow-downgrade"), "{}", desk.audit());
    // It was an exception: what was the highest still is.
    desk.refuses(&older, &["counter 2"]);
    // Another bundle with the counter of one that was here.
    let mut twin = bundle(&rig, 2);
    twin.release.version = semver::Version::new(2, 0, 1);
    twin.write(&desk.path("twin.tar"), &desk.key("old"))
        .unwrap();
    let output = desk.run(&["bundle", "load", "twin.tar"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("another bundle of"), "{text}");
    assert!(desk.audit().contains("same-counter"), "{}", desk.audit());
    // A key that was named for one run is an exception too.
    fs::remove_file(desk.path(AUDIT)).unwrap();
    bundle(&rig, 3)
        .write(&desk.path("three.tar"), &desk.key("new"))
        .unwrap();
    desk.ok(&["bundle", "load", "three.tar", "--trusted-key", "new.pub"]);
    assert!(desk.audit().contains("\"trusted-key\""), "{}", desk.audit());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_bundle_carries_new_keys_and_revocations_to_the_host() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    let mut rotation = bundle(&rig, 2);
    rotation.trust = TrustStatement {
        introduce: vec![IntroducedKey(desk.public("new"))],
        revoke: vec![desk.public("old").id()],
        ..TrustStatement::default()
    };
    rotation
        .write(&desk.path("rotation.tar"), &desk.key("old"))
        .unwrap();
    bundle(&rig, 3)
        .write(&desk.path("next.tar"), &desk.key("new"))
        .unwrap();
    desk.refuses(&["bundle", "verify", "next.tar"], &["lfctl trust add"]);
    // Looking at it, or taking it without its signature, changes nothing.
    desk.ok(&["bundle", "verify", "rotation.tar"]);
    desk.ok(&["bundle", "load", "rotation.tar", "--dry-run"]);
    let blindly = "--insecure-skip-signature";
    desk.ok(&["bundle", "verify", "rotation.tar", blindly]);
    desk.ok(&["bundle", "load", "rotation.tar", blindly, "--dry-run"]);
    desk.plan_install("rotation.tar", &[blindly]);
    assert_eq!(desk.audit(), "");
    desk.ok(&["bundle", "load", "rotation.tar", blindly]);
    let audit = desk.audit();
    let lines: Vec<AuditEntry> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&*line.command, &*line.result))
        .collect();
    assert_eq!(told[0].0, "insecure-skip-signature");
    assert_eq!(
        told[1..],
        [("bundle load", "begun"), ("bundle load", "done")]
    );
    for line in &lines {
        assert_eq!(line.key.as_deref(), Some("none"));
        assert!(line.bundle.is_some());
    }
    assert_eq!((desk.trusts("old"), desk.trusts("new")), (Some(true), None));
    desk.ok(&["bundle", "load", "rotation.tar"]);
    assert_eq!(
        (desk.trusts("old"), desk.trusts("new")),
        (Some(false), Some(true))
    );
    let audit = desk.audit();
    assert_eq!(audit.lines().count(), 7, "{audit}");
    desk.ok(&["audit", "verify"]);
    // Nothing is left to do, and nothing to be written down.
    desk.refuses(&["bundle", "load", "rotation.tar"], &["revoked"]);
    assert_eq!(desk.audit(), audit);
    desk.ok(&["bundle", "verify", "next.tar"]);
    desk.refuses(&["bundle", "verify", "rotation.tar"], &["revoked"]);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_release_is_remembered_even_if_its_keys_cannot_be_had() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    let mut two = bundle(&rig, 2);
    two.trust.introduce = vec![IntroducedKey(twin(&desk.public("old")))];
    two.write(&desk.path("two.tar"), &desk.key("old")).unwrap();
    desk.refuses(&["bundle", "load", "two.tar"], &["another key with the id"]);
    bundle(&rig, 1)
        .write(&desk.path("one.tar"), &desk.key("old"))
        .unwrap();
    desk.refuses(&["bundle", "load", "one.tar"], &["counter 1", "counter 2"]);
}

/// Another key with the id of this one.
fn twin(key: &TrustedKey) -> TrustedKey {
    let mut bytes = BASE64_STANDARD.decode(key.to_base64()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    TrustedKey::from_base64(&BASE64_STANDARD.encode(bytes)).unwrap()
}

#[test]
#[ignore = "needs minisign"]
#[expect(
    clippy::too_many_lines,
    reason = "one host, told from the first statement to the last"
)]
fn a_statement_counts_only_as_a_trusted_key_signed_it() {
    let desk = Desk::new();
    let old = desk.public("old").id().to_string();
    let statement = |key: &str, output: &str| {
        desk.ok(&[
            "trust",
            "statement",
            "--introduce",
            "new.pub",
            "--revoke",
            &old,
            "--key",
            key,
            "-o",
            output,
        ]);
    };
    statement("new.key", "forged.json");
    desk.refuses(&["trust", "apply", "forged.json"], &["key"]);
    statement("old.key", "s.json");
    fs::rename(desk.path("s.json.minisig"), desk.path("away")).unwrap();
    let hint = "copy the signature together with the statement";
    desk.refuses(&["trust", "apply", "s.json"], &["is not signed", hint]);
    fs::rename(desk.path("away"), desk.path("s.json.minisig")).unwrap();
    let good = fs::read_to_string(desk.path("s.json")).unwrap();
    fs::write(
        desk.path("s.json"),
        good.replacen(&old, "0000000000000001", 1),
    )
    .unwrap();
    desk.refuses(&["trust", "apply", "s.json"], &["signature"]);
    assert_eq!((desk.trusts("old"), desk.trusts("new")), (Some(true), None));
    fs::write(desk.path("s.json"), &good).unwrap();
    // Signed by the right key, but as something else.
    let other = desk
        .key("old")
        .sign(good.as_bytes(), "name=a version=1")
        .unwrap();
    fs::write(desk.path("other.json"), &good).unwrap();
    fs::write(desk.path("other.json.minisig"), other).unwrap();
    desk.refuses(&["trust", "apply", "other.json"], &["is not a statement"]);
    // Nobody reads a disk to its end to find that nobody signed it.
    fs::copy(desk.path("s.json.minisig"), desk.path("huge.json.minisig")).unwrap();
    let huge = fs::File::create(desk.path("huge.json")).unwrap();
    huge.set_len((1 << 20) + 1).unwrap();
    desk.refuses(&["trust", "apply", "huge.json"], &["larger than 1048576"]);
    assert_eq!(desk.audit(), "");
    run(
        "minisign",
        &[
            "-Vm",
            desk.path("s.json").to_str().unwrap(),
            "-p",
            desk.path("old.pub").to_str().unwrap(),
        ],
    );
    desk.ok(&["trust", "apply", "s.json"]);
    assert_eq!(
        (desk.trusts("old"), desk.trusts("new")),
        (Some(false), Some(true))
    );
    let audit = desk.audit();
    for line in audit.lines() {
        let line: AuditEntry = serde_json::from_str(line).unwrap();
        assert_eq!(line.key.as_ref(), Some(&old), "{audit}");
    }
    assert_eq!(audit.lines().count(), 2, "{audit}");
    let file = fs::read_to_string(desk.path(&format!(
        "root/etc/lfctl/trusted-keys.d/{}.pub",
        desk.public("new").id()
    )))
    .unwrap();
    assert!(file.contains(&format!("introduced by {old}")), "{file}");
}

#[test]
fn who_cannot_have_the_host_to_himself_changes_nothing() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("root/var/lib/lfctl")).unwrap();
    let lock = fs::File::create(desk.path("root/var/lib/lfctl/_host.lock")).unwrap();
    lock.file().lock().unwrap();
    let id = desk.public("old").id().to_string();
    let output = desk.run(&["trust", "revoke", &id]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains("another lfctl"), "{text}");
    // Looking needs no lock.
    assert_eq!(desk.trusts("old"), Some(true));
    drop(lock);
    desk.ok(&["trust", "revoke", &id]);
}

#[test]
fn words_that_are_read_aloud_tell_keys_apart() {
    let desk = Desk::new();
    let words = desk.public("new").words();
    assert!(desk.ok(&["key", "show", "new.pub"]).contains(&words));
    let wrong = desk.public("old").words();
    desk.refuses(
        &["trust", "add", "new.pub", "--words", &wrong],
        &["another key"],
    );
    assert_eq!(desk.trusts("new"), None);
    let spoken = format!("  {}  ", words.to_uppercase().replace(' ', "  "));
    desk.ok(&["trust", "add", "new.pub", "--words", &spoken]);
    assert_eq!(desk.trusts("new"), Some(true));
}
