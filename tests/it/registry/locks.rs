//! What a lock holds fast.

use lfctl::bundle::create::CreateError;
use lfctl::bundle::lock::{Lock, Locked};
use lfctl::fake::bundle::{FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;

use super::{APP, Desk, GATEWAY, app, gateway, lock_of, make, names, options, pushed, spec};
use crate::support::bundle::{Parts, key};
use crate::support::small_disk::{PAGE, SmallDisk};

#[test]
#[ignore = "needs a registry"]
fn a_lock_knows_the_layers_that_were_checked() {
    let registry = pushed();
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    let make_with = |name: &str, lock: Option<Locked>| {
        let mut options = options(&registry.address(), &dir.path().join(name));
        options.sbom = false;
        // Nothing moves here, so nothing depends on this.
        options.locked = name == "b.tar";
        options.lock = lock.as_ref().map(lock_of);
        make(&options, &key).unwrap().lock
    };
    let lock = make_with("a.tar", None);
    assert_eq!(lock.layers.len(), 3);
    assert_eq!(make_with("b.tar", Some(lock.clone())), lock);
    let bytes = |name: &str| fs_err::read(dir.path().join(name)).unwrap();
    assert!(bytes("a.tar") == bytes("b.tar"));
    // What it says is used, not found out again.
    let mut other = lock.clone();
    let layer = app(2).layers[1].digest();
    other.layers.insert(layer, 12_345);
    make_with("c.tar", Some(other));
    let parts = Parts::of(&bytes("c.tar"));
    assert!(
        parts
            .0
            .iter()
            .any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("12345"))
    );
    // A layer that it does not know is looked at.
    let mut unknown = lock.clone();
    unknown.layers.clear();
    assert_eq!(make_with("d.tar", Some(unknown)), lock);
}

/// Where a tag moved, the layers that it kept are looked at again: its image
/// may say something else of them than the one that was locked.
#[test]
#[ignore = "needs a registry"]
fn a_lock_does_not_vouch_for_an_image_that_moved() {
    let registry = pushed();
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(&registry.address(), &dir.path().join("a.tar"));
    (options.sbom, options.locked) = (false, false);
    let lock = make(&options, &key()).unwrap().lock;
    let mut layers = app(2).layers;
    layers[1].diff_id = Digest::of(b"something else");
    registry.push("rehearsal/app:1.0.0", &FakeImage::new(layers));
    options.lock = Some(lock_of(&lock));
    let error = make(&options, &key()).unwrap_err().to_string();
    assert!(error.contains("the image config says"), "{error}");
}

/// A size that nobody checked would be signed, and refused by the host.
#[test]
#[ignore = "needs a registry"]
fn a_lock_that_was_merged_wrong_is_not_believed() {
    let registry = pushed();
    let desk = Desk::new();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let create = [&Desk::create(&docker, &quay)[..], &["--no-sbom"]].concat();
    let locked = [&create[..], &["--locked"]].concat();
    desk.lfctl(&create);
    let file = desk.path("a.toml.lock");
    let good = fs_err::read_to_string(&file).unwrap();
    let bundle = fs_err::read(desk.path("a.tar")).unwrap();
    let layer = app(2).layers[1].clone();
    let size = format!("\"{}\" = {}", layer.digest(), layer.unpacked);
    let wrong = format!("\"{}\" = 12345", layer.digest());
    let merged = good.replace(&size, &wrong);
    assert_ne!(merged, good);

    fs_err::write(&file, &merged).unwrap();
    let refused = desk.command(&locked).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("lock of linux/amd64 was merged"), "{text}");
    assert!(text.contains("without `--locked`"), "{text}");

    // Of a lock from before there were checksums, the sizes do not count.
    let is_sum = |line: &&str| line.starts_with("checksum");
    let old: Vec<_> = merged.lines().filter(|line| !is_sum(line)).collect();
    fs_err::write(&file, old.join("\n")).unwrap();
    desk.lfctl(&locked);
    assert!(fs_err::read(desk.path("a.tar")).unwrap() == bundle);

    // What the hint says works.
    fs_err::write(&file, &merged).unwrap();
    desk.lfctl(&create);
    assert_eq!(fs_err::read_to_string(&file).unwrap(), good);
    assert!(fs_err::read(desk.path("a.tar")).unwrap() == bundle);
}

#[test]
#[ignore = "needs a registry"]
fn locked_refuses_a_tag_that_moved() {
    let registry = pushed();
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("a.tar");
    let mut options = options(&registry.address(), &output);
    let lock = make(&options, &key()).unwrap().lock;
    fs_err::remove_file(&output).unwrap();

    registry.push("rehearsal/app:1.0.0", &app(99));
    options.lock = Some(lock_of(&lock));
    let error = make(&options, &key()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CreateError::Moved { .. }), "{text}");
    assert!(text.contains(APP) && text.contains(&lock.images[APP].to_string()));
    assert!(names(dir.path()).is_empty());

    let mut incomplete = lock;
    incomplete.images.remove(GATEWAY);
    incomplete
        .images
        .insert(APP.to_owned(), Digest::of(&app(99).manifest));
    options.lock = Some(lock_of(&incomplete));
    let error = make(&options, &key()).unwrap_err();
    assert!(matches!(error, CreateError::NotLocked(_)), "{error}");
}

#[test]
#[ignore = "needs a registry"]
fn a_lock_holds_every_platform_it_was_made_for() {
    let registry = pushed();
    let arm = FakeImage::on("arm64", vec![FakeLayer::files(&[("arm", b"arm")])]);
    for (name, image) in [("app", app(2)), ("gateway", gateway())] {
        let both = [("linux", "amd64", &image), ("linux", "arm64", &arm)];
        registry.push_index(&format!("rehearsal/{name}:1.0.0"), &both);
    }
    let desk = Desk::new();
    let mut spec = spec();
    spec.platforms.push("linux/arm64".to_owned());
    fs_err::write(desk.path("a.toml"), toml::to_string(&spec).unwrap()).unwrap();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let create = Desk::create(&docker, &quay);
    let arm_too = [&create[..], &["--platform", "linux/arm64"]].concat();
    let locked = |arguments: &[&'static str]| {
        let all = [&create[..], arguments, &["--locked"]].concat();
        let output = desk.command(&all).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = locked(&[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("a.toml.lock"), "{text}");
    desk.lfctl(&create);
    let (code, text) = locked(&["--platform", "linux/arm64"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("lock is for linux/amd64"), "{text}");
    desk.lfctl(&arm_too);
    let read = || {
        let file = desk.path("a.toml.lock");
        Lock::parse(&file, &fs_err::read(&file).unwrap()).unwrap()
    };
    let lock = read();
    assert_eq!(
        lock.platforms["linux/amd64"].images[APP],
        Digest::of(&app(2).manifest)
    );
    assert_eq!(
        lock.platforms["linux/arm64"].images[APP],
        Digest::of(&arm.manifest)
    );
    for platform in ["linux/amd64", "linux/arm64"] {
        let (code, text) = locked(&["--platform", platform]);
        assert_eq!(code, Some(0), "{text}");
    }
    // Two runs at the same time do not write over each other.
    fs_err::remove_file(desk.path("a.toml.lock")).unwrap();
    let elsewhere = arm_too.iter().map(|word| match *word {
        "a.tar" => "b.tar",
        word => word,
    });
    let elsewhere: Vec<_> = elsewhere.collect();
    std::thread::scope(|scope| {
        scope.spawn(|| desk.lfctl(&elsewhere));
        desk.lfctl(&create);
    });
    assert_eq!(read(), lock);
}

#[test]
fn a_directory_is_no_place_for_a_bundle() {
    let desk = Desk::new();
    fs_err::create_dir(desk.path("a.tar")).unwrap();
    let create = Desk::create("docker.io=127.0.0.1:9", "quay.io=127.0.0.1:9");
    let output = desk.command(&create).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("`a.tar` is a directory"), "{text}");
}

/// A spec on a filesystem of its own.
fn spec_on(desk: &Desk, bytes: u64) -> SmallDisk {
    let small = SmallDisk::at(desk.path("specs"), bytes);
    fs_err::copy(desk.path("a.toml"), small.0.join("a.toml")).unwrap();
    small
}

#[test]
#[ignore = "needs a registry"]
fn a_lock_that_cannot_be_written_is_found_before_anything_is_pulled() {
    let registry = pushed();
    let desk = Desk::new();
    let specs = spec_on(&desk, 16 * PAGE);
    specs.read_only();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let mut create = Desk::create(&docker, &quay);
    create[2] = "specs/a.toml";
    let refused = desk.command(&create).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(74), "{text}");
    for word in ["lock `specs/a.toml.lock`", "Read-only", "`--lock FILE`"] {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains("Resolving"), "{text}");
    assert!(!desk.path("a.tar").exists());

    // What the hint says works, and so does a lock that is only read.
    let elsewhere = [&create[..], &["--lock", "a.lock"]].concat();
    desk.lfctl(&elsewhere);
    assert_eq!(names(&specs.0), ["a.toml"]);
    desk.lfctl(&[&elsewhere[..], &["--locked"]].concat());
}

#[test]
#[ignore = "needs a registry"]
fn a_bundle_that_is_there_has_its_receipt_though_its_lock_finds_no_room() {
    let registry = pushed();
    let desk = Desk::new();
    let specs = spec_on(&desk, 4 * PAGE);
    fs_err::write(specs.0.join("more"), vec![0; 4 * 4096]).unwrap_err();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let mut create = Desk::create(&docker, &quay);
    create[2] = "specs/a.toml";
    let output = desk.command(&create).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{text}");
    assert!(text.contains("No space left"), "{text}");
    let receipt = String::from_utf8_lossy(&output.stdout);
    assert!(receipt.contains("rehearsal 1.0.0"), "{receipt}");
    desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);
}
