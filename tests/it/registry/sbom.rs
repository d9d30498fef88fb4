//! The list of packages, from layers in a registry to the command line.

use lfctl::fake::bundle::{FakeImage, FakeLayer};
use serde_json::Value;

use super::{Desk, LocalRegistry, gateway};

const FIRST: &str = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n\n\
                     Package: gone\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
const SECOND: &str =
    "Package: libc6\nStatus: install ok installed\nVersion: 2.36-10\nArchitecture: amd64\n";
const COPYRIGHT: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nLicense: Expat\n";

fn debian(status: &str) -> FakeImage {
    let base = FakeLayer::files(&[
        (
            "etc/os-release",
            b"ID=debian\nVERSION_ID=\"12\"\n".as_slice(),
        ),
        ("usr/share/doc/libc6/copyright", COPYRIGHT.as_bytes()),
    ]);
    FakeImage::new(vec![
        base,
        FakeLayer::files(&[("var/lib/dpkg/status", status.as_bytes())]),
    ])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Two bundles, `old.tar` and `new.tar`; the new one made with `more`.
fn two_bundles(more: &[&str]) -> Desk {
    let registry = LocalRegistry::start();
    registry.push("rehearsal/gateway:1.0.0", &gateway());
    let desk = Desk::new();
    let (docker, quay) = (
        format!("docker.io={}", registry.address()),
        format!("quay.io={}", registry.address()),
    );
    for (name, status, more) in [("old.tar", FIRST, &[][..]), ("new.tar", SECOND, more)] {
        registry.push("rehearsal/app:1.0.0", &debian(status));
        desk.lfctl(&[&Desk::create(&docker, &quay)[..], more].concat());
        fs_err::rename(desk.path("a.tar"), desk.path(name)).unwrap();
    }
    desk
}

const TRUST: [&str; 2] = ["--trusted-key", "release.pub"];

#[test]
#[ignore = "needs a registry"]
fn the_bundle_carries_what_its_layers_hold() {
    let desk = two_bundles(&["--no-sbom"]);
    let sbom = |name: &str, more: &[&str]| {
        json(&desk.lfctl(&[&["bundle", "sbom", name], &TRUST[..], more].concat()))
    };
    let inside = sbom("old.tar", &[]);
    assert_eq!(inside["bomFormat"], "CycloneDX");
    let components = inside["components"].as_array().unwrap();
    let libc = components
        .iter()
        .find(|one| one["name"] == "libc6")
        .unwrap();
    assert_eq!(
        libc["purl"],
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"
    );
    assert_eq!(libc["licenses"][0]["license"]["id"], "MIT");
    let images = components.iter().filter(|one| one["type"] == "container");
    assert_eq!(images.count(), 2);
    assert_eq!(sbom("old.tar", &["--recompute"]), inside);
    // A bundle made without it is read on demand.
    let shown = desk.lfctl(&[&["bundle", "inspect", "new.tar", "--json"], &TRUST[..]].concat());
    assert!(json(&shown)["manifest"].get("sbom").is_none());
    let read = sbom("new.tar", &[]);
    assert!(read.to_string().contains("libc6@2.36-10"), "{read}");
}

#[test]
#[ignore = "needs a registry"]
fn two_bundles_differ_by_images_layers_packages_and_bytes() {
    let desk = two_bundles(&[]);
    let diff = ["bundle", "diff", "old.tar", "new.tar"];
    let found = json(&desk.lfctl(&[&diff[..], &TRUST, &["--json"]].concat()));
    assert_eq!(found["images"].as_object().unwrap().len(), 1);
    let packages = found["images"]["app"]["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 2, "{packages:?}");
    let added = &found["images"]["app"]["layers-added"][0];
    assert_eq!(found["carry-bytes"], added["size"]);
    let text = desk.lfctl(&[&diff[..], &TRUST].concat());
    for line in ["~ libc6 2.36-9 -> 2.36-10", "- gone 1", "1 come"] {
        assert!(text.contains(line), "{text}");
    }
    // Nobody is trusted on this host.
    let refused = desk
        .command(&[&["--root", "root"], &diff[..]].concat())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(4));
}

#[test]
#[ignore = "needs a registry"]
fn a_package_that_cannot_be_listed_does_not_cost_the_bundle_its_list() {
    let registry = LocalRegistry::start();
    registry.push("rehearsal/gateway:1.0.0", &gateway());
    let status = format!("Package: a\nVersion: {}\n\n{SECOND}", "1".repeat(300));
    registry.push("rehearsal/app:1.0.0", &debian(&status));
    let desk = Desk::new();
    let (docker, quay) = (
        format!("docker.io={}", registry.address()),
        format!("quay.io={}", registry.address()),
    );
    let made = desk
        .command(&Desk::create(&docker, &quay))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&made.stderr);
    assert_eq!(made.status.code(), Some(0), "{text}");
    for word in [
        "list of packages is incomplete",
        "docker.io/rehearsal/app:1.0.0",
        "more than 256",
    ] {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    let listed = json(&desk.lfctl(&[&["bundle", "sbom", "a.tar"], &TRUST[..]].concat()));
    assert!(listed.to_string().contains("libc6@2.36-10"), "{listed}");
    assert_eq!(listed["compositions"][0]["aggregate"], "incomplete");
}

/// The official library of `CycloneDX`, which knows nothing of lfctl.
#[test]
#[ignore = "needs a registry and cyclonedx-python-lib"]
fn a_stock_reader_reads_the_list_and_agrees_on_what_changed() {
    let desk = two_bundles(&[]);
    let mut files = Vec::new();
    for (words, file) in [
        (&["bundle", "sbom", "old.tar"][..], "old.json"),
        (&["bundle", "sbom", "new.tar"], "new.json"),
        (
            &["bundle", "diff", "old.tar", "new.tar", "--json"],
            "diff.json",
        ),
    ] {
        let text = desk.lfctl(&[words, &TRUST].concat());
        fs_err::write(desk.path(file), text).unwrap();
        files.push(desk.path(file));
    }
    let python = std::env::var("LFCTL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/read_sbom.py");
    let read = || {
        std::process::Command::new(&python)
            .arg(script)
            .args(&files)
            .output()
            .unwrap()
    };
    let output = read();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It sees a package that is passed over.
    let text = fs_err::read_to_string(&files[1]).unwrap();
    fs_err::write(&files[1], text.replace("2.36-10", "2.36-11")).unwrap();
    assert!(!read().status.success());
}
