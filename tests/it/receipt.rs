//! The receipt for the change ticket.

use fs_err as fs;
use lfctl::bundle::layout::Delta;
use lfctl::fake::bundle::Fake;
use lfctl::oci::digest::Digest;
use serde_json::Value;

use crate::trust::Desk;

#[test]
fn a_receipt_states_what_was_verified_and_by_what() {
    let desk = Desk::new();
    let fake = Fake::small().unwrap();
    let manifest = fake.write(&desk.path("a.tar"), &desk.key("old")).unwrap();
    let printed = desk.ok(&["bundle", "verify", "a.tar", "--receipt", "r.json"]);
    let receipt: Value =
        serde_json::from_str(&fs::read_to_string(desk.path("r.json")).unwrap()).unwrap();
    assert!(!printed.starts_with('{'), "{printed}");
    let (reference, image) = manifest
        .images
        .values()
        .map(|image| (image.reference.as_str(), image.manifest.to_string()))
        .next()
        .unwrap();
    let key = desk.public("old").id().to_string();
    let size = fs::metadata(desk.path("a.tar")).unwrap().len();
    let layers: u64 = receipt["layer-bytes"].as_u64().unwrap();
    assert_eq!(receipt["file"], "a.tar");
    assert_eq!(receipt["size"], size);
    assert_eq!(receipt["key-id"], key.as_str());
    assert_eq!(receipt["release"]["counter"], 1);
    assert_eq!(receipt["image-digests"][reference], image);
    assert_eq!(receipt["lfctl"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&receipt["images"], &receipt["layers"]),
        (&2.into(), &3.into())
    );

    // The same as text, over the receipt of another run.
    desk.ok(&["bundle", "verify", "a.tar", "--receipt", "r.txt"]);
    desk.ok(&["bundle", "verify", "a.tar", "--receipt", "r.txt"]);
    let text = fs::read_to_string(desk.path("r.txt")).unwrap();
    let index = receipt["index"].as_str().unwrap();
    for word in [
        "a.tar",
        "rehearsal 1.0.0 (counter 1)",
        &key,
        index,
        reference,
        &image,
        &format!("{size} bytes"),
        &format!("layers {layers} bytes"),
        concat!("by lfctl ", env!("CARGO_PKG_VERSION")),
        &jiff::Timestamp::now().to_string()[..10],
    ] {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    desk.ok(&["bundle", "verify", "a.tar", "--receipt", "r", "--json"]);
    let text = fs::read_to_string(desk.path("r")).unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
}

#[test]
fn what_failed_has_no_receipt_and_nothing_else_is_written_over() {
    let desk = Desk::new();
    let fake = Fake::small().unwrap();
    let verify = ["bundle", "verify", "a.tar", "--receipt", "r.txt"];
    fake.clone()
        .write(&desk.path("a.tar"), &desk.key("old"))
        .unwrap();
    desk.ok(&verify);
    let before = fs::read(desk.path("a.tar")).unwrap();
    let over = desk.run(&["bundle", "verify", "a.tar", "--receipt", "a.tar"]);
    assert_eq!(over.status.code(), Some(2));
    assert_eq!(fs::read(desk.path("a.tar")).unwrap(), before);

    fake.write(&desk.path("a.tar"), &desk.key("new")).unwrap();
    desk.refuses(&verify, &["not trusted"]);
    assert!(!desk.path("r.txt").exists());
}

#[test]
fn parts_and_deltas_have_receipts_and_what_a_delta_lacks_is_said() {
    let desk = Desk::new();
    let mut fake = Fake::small().unwrap();
    let absent = fake.images["app"].1.layers[0].digest();
    fake.delta = Some(Delta {
        name: "rehearsal 0.9.0".to_owned(),
        digest: Digest::of(b"index"),
        absent: [absent].into(),
    });
    fake.write(&desk.path("a.tar"), &desk.key("old")).unwrap();
    let split = "bundle split a.tar --size 64K -o parts --key old.key";
    desk.ok(&split.split(' ').collect::<Vec<_>>());
    let list = "parts/a.tar.parts";
    desk.ok(&["bundle", "verify", list, "--receipt", "r.json"]);
    let receipt: Value =
        serde_json::from_str(&fs::read_to_string(desk.path("r.json")).unwrap()).unwrap();
    assert_eq!(receipt["file"], list);
    assert_eq!(receipt["layers"], 2);
    assert_eq!(receipt["base"]["name"], "rehearsal 0.9.0");
    assert_eq!(receipt["base"]["absent-layers"], 1);
    desk.ok(&["bundle", "verify", list, "--receipt", "r.txt"]);
    let text = fs::read_to_string(desk.path("r.txt")).unwrap();
    assert!(text.contains("1 layers"), "{text}");
    assert!(
        text.contains("not verified: rehearsal 0.9.0 holds them"),
        "{text}"
    );
}
