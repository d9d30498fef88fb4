//! A reader that was written from docs/bundle.md alone, in another language,
//! agrees with lfctl on every bundle.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use lfctl::bundle::layout::Delta;
use lfctl::fake::bundle::Fake;
use lfctl::oci::digest::Digest;
use serde_json::Value;

use crate::trust::Desk;

fn read(desk: &Desk, bundle: &Path) -> Output {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/read_bundle.py");
    Command::new("python3")
        .arg(reader)
        .args([&desk.path("old.pub"), bundle])
        .output()
        .unwrap()
}

fn agrees(desk: &Desk, bundle: &str) -> Value {
    let output = read(desk, &desk.path(bundle));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let receipt: Value =
        serde_json::from_str(&desk.ok(&["bundle", "verify", bundle, "--json"])).unwrap();
    let shown: Value =
        serde_json::from_str(&desk.ok(&["bundle", "inspect", bundle, "--json"])).unwrap();
    assert_eq!(found["index"], receipt["index"]);
    assert_eq!(found["size"], receipt["size"]);
    assert_eq!(found["manifest"], shown["manifest"]);
    found["manifest"].clone()
}

#[test]
#[ignore = "needs python3"]
fn another_reader_reads_what_lfctl_writes() {
    let desk = Desk::new();
    let mut fake = Fake::small().unwrap();
    fake.clone()
        .write(&desk.path("full.tar"), &desk.key("old"))
        .unwrap();
    agrees(&desk, "full.tar");

    fake.sbom = Some(br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#.to_vec());
    fake.clone()
        .write(&desk.path("sbom.tar"), &desk.key("old"))
        .unwrap();
    assert!(agrees(&desk, "sbom.tar")["sbom"].is_string());

    let absent = fake.images["app"].1.layers[0].digest();
    fake.delta = Some(Delta {
        name: "rehearsal 0.9.0".to_owned(),
        digest: Digest::of(b"index"),
        absent: [absent].into(),
    });
    fake.write(&desk.path("delta.tar"), &desk.key("old"))
        .unwrap();
    let manifest = agrees(&desk, "delta.tar");
    assert_eq!(manifest["base"]["absent"][0]["digest"], absent.to_string());
}

#[test]
#[ignore = "needs python3"]
fn another_reader_finds_a_flipped_bit_in_every_block() {
    let desk = Desk::new();
    let fake = Fake::small().unwrap();
    let good = desk.path("good.tar");
    fake.write(&good, &desk.key("old")).unwrap();
    agrees(&desk, "good.tar");
    let bytes = fs::read(&good).unwrap();
    let bad = desk.path("bad.tar");
    // Headers, contents, padding and the end: one bit of each block of the tar.
    for (block, chunk) in bytes.chunks(512).enumerate() {
        let bit = block * 512 * 8 + block * 7919 % (chunk.len() * 8);
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&bad, changed).unwrap();
        let code = read(&desk, &bad).status.code();
        assert_eq!(code, Some(1), "bit {bit} was not noticed");
    }
    fs::write(&bad, [&bytes[..], b"x"].concat()).unwrap();
    assert_eq!(read(&desk, &bad).status.code(), Some(1));
    fs::write(&bad, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(read(&desk, &bad).status.code(), Some(1));
}
