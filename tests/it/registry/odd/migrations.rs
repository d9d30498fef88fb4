//! Migrations that a definition leaves to the image, or names otherwise.

use lfctl::bundle::spec::BundleSpec;
use serde_json::Value;

use super::store::Store;
use super::{assert_config, assert_made};
use crate::registry::{APP, Desk, spec};

const FIRST: &str = "app/packages/shared/prisma/migrations/20260101000000_first/migration.sql";
const LAST: &str = "app/packages/shared/prisma/migrations/20260202000000_a name/migration.sql";

/// The definition with these migrations.
fn write(desk: &Desk, count: u32, last: &str) {
    let mut spec = spec();
    spec.stack.schemas[0].count = count;
    last.clone_into(&mut spec.stack.schemas[0].last);
    fs_err::write(desk.path("a.toml"), toml::to_string(&spec).unwrap()).unwrap();
}

/// What the bundle says of the migrations.
fn bundled(desk: &Desk) -> (u64, String) {
    let trust = ["--trusted-key", "release.pub"];
    desk.lfctl(&[&["bundle", "verify", "a.tar"][..], &trust].concat());
    let inspect = [&["--json", "bundle", "inspect", "a.tar"][..], &trust].concat();
    let inspected: Value = serde_json::from_str(&desk.lfctl(&inspect)).unwrap();
    let stack = inspected["manifest"]["stack"].as_str().unwrap();
    let blob = stack.replace(':', "/");
    let tar = fs_err::File::open(desk.path("a.tar")).unwrap();
    let mut tar = tar::Archive::new(tar);
    let entry = tar.entries().unwrap().map(Result::unwrap);
    let mut found = entry.filter(|entry| entry.path().unwrap().ends_with(&blob));
    let stack: Value = serde_json::from_reader(found.next().unwrap()).unwrap();
    let schema = &stack["schemas"][0];
    let last = schema["last"].as_str().unwrap().to_owned();
    (schema["count"].as_u64().unwrap(), last)
}

#[test]
fn what_is_left_out_comes_from_the_image_and_what_differs_is_refused() {
    let desk = Desk::new();
    let app = Store::image(&[&[(FIRST, b"")], &[(LAST, b"")]], |_, _| {});
    let images = [(APP, &app)];
    let brought = (2, "20260202000000_a name".to_owned());

    write(&desk, 0, "");
    assert_made(&desk.create_from(&images), "left out");
    assert_eq!(bundled(&desk), brought);
    let bytes = fs_err::read(desk.path("a.tar")).unwrap();
    assert_made(&desk.create_from(&images), "left out again");
    assert!(fs_err::read(desk.path("a.tar")).unwrap() == bytes);

    write(&desk, 2, &brought.1);
    assert_made(&desk.create_from(&images), "named rightly");
    assert_eq!(bundled(&desk), brought);

    write(&desk, 3, "20260303000000_next");
    let both = [
        "3 up to `20260303000000_next`",
        "2 up to `20260202000000_a name`",
    ];
    assert_config(&desk.create_from(&images), &both);

    write(&desk, 0, "");
    let none = Store::simple("none");
    let words = ["none are found in its image", "`count` and `last`"];
    assert_config(&desk.create_from(&[(APP, &none)]), &words);
}

#[test]
fn one_word_makes_the_next_release() {
    let desk = Desk::new();
    let text = fs_err::read_to_string(desk.path("a.toml")).unwrap();
    let version = BundleSpec::parse(&text).unwrap().release.version;
    let mut spec = spec();
    spec.release.counter = (version.major * 1_000_000 + version.minor * 1000 + version.patch) * 100;
    fs_err::write(desk.path("a.toml"), toml::to_string(&spec).unwrap()).unwrap();
    let create = [
        "bundle",
        "create",
        "a.toml",
        "--key",
        "release.key",
        "-o",
        "a.tar",
    ];
    let more = ["--from", "oci:nowhere", "--set"];
    let set = |to: &str| {
        let mut command = desk.command(&[&create[..], &more, &[to]].concat());
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let words = set("version=9.9.9");
    let counter = format!("release.counter: {} -> 900900900", spec.release.counter);
    for word in [counter.as_str(), "images.app", ":9.9.9", "release.version"] {
        assert!(words.contains(word), "no `{word}` in: {words}");
    }
    assert!(set("9.9.9").contains("version=4.17.0"), "how to write it");
}
