//! Bundles on a disk without room for them, or for files of their size.

use std::process::{Command, Output};

use lfctl::fake::bundle::{FakeImage, FakeLayer};
use serde_json::Value;

use super::{Desk, LocalRegistry, gateway, names, noise};
use crate::support::small_disk::{PAGE, SmallDisk};

/// An image with so many packages that their list takes more than a page.
fn full_of_packages() -> FakeImage {
    let status = (0..500)
        .map(|at| format!("Package: lib{at}\nStatus: install ok installed\nVersion: 1\n\n"));
    let status = status.collect::<Vec<_>>().concat();
    FakeImage::new(vec![
        FakeLayer::files(&[("var/lib/dpkg/status", status.as_bytes())]),
        FakeLayer::files(&[("noise", &noise(5, 1_000_000))]),
    ])
}

struct Maker {
    desk: Desk,
    registry: LocalRegistry,
}

impl Maker {
    fn new() -> Self {
        let registry = LocalRegistry::start();
        registry.push("rehearsal/app:1.0.0", &full_of_packages());
        registry.push("rehearsal/gateway:1.0.0", &gateway());
        let desk = Desk::new();
        Self { desk, registry }
    }

    fn command(&self, output: &str, more: &[&str]) -> Command {
        let docker = format!("docker.io={}", self.registry.address());
        let quay = format!("quay.io={}", self.registry.address());
        let mut create = Desk::create(&docker, &quay);
        let at = create.iter().position(|word| *word == "a.tar").unwrap();
        create[at] = output;
        self.desk.command(&[&create[..], more].concat())
    }

    fn make(&self, output: &str, more: &[&str]) {
        let output = self.command(output, more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Bytes of the bundle, and of the SBOM in it.
    fn measure(&self) -> (u64, u64) {
        self.make("whole.tar", &[]);
        let inspect = ["bundle", "inspect", "whole.tar", "--json"];
        let trust = ["--trusted-key", "release.pub"];
        let shown = self.desk.lfctl(&[&inspect[..], &trust].concat());
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let last = shown["manifest"]["blobs"].as_array().unwrap().last();
        let size = fs_err::metadata(self.desk.path("whole.tar")).unwrap();
        (size.len(), last.unwrap()["size"].as_u64().unwrap())
    }

    fn small(&self, bytes: u64) -> SmallDisk {
        SmallDisk::at(self.desk.path("small"), bytes)
    }
}

#[track_caller]
fn assert_no_room(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
#[ignore = "needs root and a registry"]
fn a_disk_that_is_too_small_is_found_before_any_layer_is_pulled() {
    let maker = Maker::new();
    let small = maker.small(256 << 10);
    let words = ["failed to reserve", "`small/a.tar`", "No space left"];
    let output = maker.command("small/a.tar", &[]).output().unwrap();
    assert_no_room(&output, &words);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("Pulling"), "{text}");
    assert_eq!(names(&small.0), [""; 0]);

    let output = maker.command("small/a.tar", &["--split", "100K"]).output();
    let words = ["failed to reserve", "`small/a.tar.00", "No space left"];
    assert_no_room(&output.unwrap(), &words);
    assert_eq!(names(&small.0), [""; 0]);
}

#[test]
#[ignore = "needs root and a registry"]
fn a_disk_that_holds_all_but_the_list_of_packages_holds_no_bundle() {
    let maker = Maker::new();
    let (size, sbom) = maker.measure();
    assert!(sbom > 4 * PAGE, "{sbom}");
    let small = maker.small((size - sbom).next_multiple_of(PAGE) + PAGE);
    let words = ["failed to reserve", "`small/a.tar`", "No space left"];
    let output = maker.command("small/a.tar", &[]).output().unwrap();
    assert_no_room(&output, &words);
    assert_eq!(names(&small.0), [""; 0]);

    // A bundle that was there stays.
    fs_err::write(small.0.join("a.tar"), "").unwrap();
    let output = maker.command("small/a.tar", &[]).output().unwrap();
    assert_no_room(&output, &words);
    assert_eq!(names(&small.0), ["a.tar"]);
    fs_err::remove_file(small.0.join("a.tar")).unwrap();

    // Without that list it fits.
    maker.make("small/a.tar", &["--no-sbom"]);
    assert_eq!(names(&small.0), ["a.tar"]);
}

#[test]
#[ignore = "needs root and a registry"]
fn a_list_of_packages_that_finds_no_room_costs_no_second_download() {
    let maker = Maker::new();
    let big = FakeLayer::files(&[("noise", &noise(6, 20_000_000))]);
    let mut layers = full_of_packages().layers;
    layers.push(big);
    let image = FakeImage::new(layers);
    maker.registry.push("rehearsal/app:1.0.0", &image);
    let (size, sbom) = maker.measure();
    let room = (size - sbom).next_multiple_of(PAGE) + 8 * PAGE;
    assert!(size > room, "{sbom}");
    let small = maker.small(room);
    let output = maker.command("small/a.tar", &["--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let mut left = names(&small.0);
    left.sort();
    assert_eq!(left, [".a.tar.marks", ".a.tar.partial"]);

    small.resize(2 * size);
    let output = maker.command("small/a.tar", &["--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // Every line is an event, the receipt too.
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["event"].as_str().unwrap().to_owned()
    });
    assert!(events.collect::<Vec<_>>().contains(&"created".to_owned()));
    assert_eq!(names(&small.0), ["a.tar"]);
}

#[test]
#[ignore = "needs root and a registry"]
fn a_disk_that_holds_the_parts_but_not_their_list_holds_none_of_them() {
    let maker = Maker::new();
    let (size, _) = maker.measure();
    let small = maker.small(size.next_multiple_of(PAGE));
    let split = ["--split", "256K"];
    let output = maker.command("small/a.tar", &split).output().unwrap();
    assert_no_room(&output, &["a.tar.parts", "No space left"]);
    assert_eq!(names(&small.0), [""; 0]);
    maker.make("small/a.tar", &[]);
}

/// As FAT32 does with 4 GiB.
#[test]
#[ignore = "needs a registry"]
fn a_place_that_takes_no_file_of_that_size_asks_for_parts() {
    let maker = Maker::new();
    let limited = |more: &[&str]| {
        let create = maker.command("b/a.tar", more);
        let mut limited = Command::new("prlimit");
        limited.arg("--fsize=500000").arg(create.get_program());
        limited.args(create.get_args());
        limited.current_dir(maker.desk.path("."));
        limited.env("DOCKER_CONFIG", maker.desk.path("."));
        limited.output().unwrap()
    };
    fs_err::create_dir(maker.desk.path("b")).unwrap();
    let words = [
        "failed to reserve",
        "`b/a.tar`",
        "File too large",
        "`--split 4G`",
    ];
    assert_no_room(&limited(&[]), &words);
    assert_eq!(names(&maker.desk.path("b")), [""; 0]);
    let output = limited(&["--split", "256K"]);
    assert!(output.status.success(), "{output:?}");
}
