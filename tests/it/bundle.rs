//! Stock tools read and check a bundle without lfctl.

use std::path::{Path, PathBuf};

use lfctl::bundle::UntrustedBundle;
use lfctl::bundle::fake::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::sign::{SecretKey, Signature, TrustedKey, generate};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::support::bundle::{key, noise, output, run, store};

/// A bundle of two images under names that nobody else uses.
struct Made {
    dir: tempfile::TempDir,
    key: SecretKey,
    references: [String; 2],
    configs: [Digest; 2],
}

impl Made {
    fn new(tag: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = key();
        let noise = noise(7, 200_000);
        let base = FakeLayer::files(&[("etc/base", b"base"), ("noise", &noise)]);
        let one = FakeImage::with_config(
            vec![base.clone(), FakeLayer::files(&[("one", tag.as_bytes())])],
            &json!({"Cmd": ["/one"]}),
        );
        let two = FakeImage::new(vec![base, FakeLayer::plain(&[("two", tag.as_bytes())])]);
        let references = ["one", "two"]
            .map(|name| format!("lfctl.test/it-{}-{tag}/{name}:1.0.0", std::process::id()));
        let configs = [&one, &two].map(|image| Digest::of(&image.config));
        let mut fake = Fake::small().unwrap();
        fake.images.clear();
        fake.image("app", &references[0], one)
            .image("gateway", &references[1], two)
            .write(&dir.path().join("bundle.tar"), &key)
            .unwrap();
        Self {
            dir,
            key,
            references,
            configs,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("bundle.tar")
    }

    fn unpack(&self) -> PathBuf {
        let to = self.dir.path().join("unpacked");
        fs_err::create_dir(&to).unwrap();
        run("tar", &["-xf", text(&self.path()), "-C", text(&to)]);
        to
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn tar_and_minisign_check_a_bundle() {
    let made = Made::new("minisign");
    let unpacked = made.unpack();
    let index = unpacked.join("index.json");
    let public = made.key.public().to_base64();
    let printed = run("minisign", &["-Vm", text(&index), "-P", &public]);
    assert!(printed.contains("Signature and comment signature verified"));
    assert!(
        printed.contains(
            "Trusted comment: name=rehearsal version=1.0.0 counter=1 created=2026-01-02T03:04:05Z"
        ),
        "{printed}"
    );
    let key_file = made.dir.path().join("key.pub");
    fs_err::write(&key_file, made.key.public().to_text()).unwrap();
    run("minisign", &["-Vm", text(&index), "-p", text(&key_file)]);

    let mut bytes = fs_err::read(&index).unwrap();
    bytes.push(b' ');
    fs_err::write(&index, bytes).unwrap();
    assert!(
        !output("minisign", &["-Vm", text(&index), "-P", &public])
            .status
            .success()
    );
}

#[test]
fn every_blob_has_the_digest_of_its_name() {
    let made = Made::new("sha256sum");
    let blobs = made.unpack().join("blobs/sha256");
    let mut count = 0;
    for entry in fs_err::read_dir(blobs).unwrap() {
        let path = entry.unwrap().path();
        let printed = run("sha256sum", &[text(&path)]);
        assert!(printed.starts_with(path.file_name().unwrap().to_str().unwrap()));
        count += 1;
    }
    assert_eq!(count, 2 + 1 + 4 + 3);
}

#[test]
fn a_bundle_signed_by_stock_minisign_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (secret, public) = (path("k.key"), path("k.pub"));
    run(
        "minisign",
        &["-G", "-W", "-s", text(&secret), "-p", text(&public)],
    );
    let key = TrustedKey::parse(&fs_err::read_to_string(&public).unwrap()).unwrap();
    let read = SecretKey::parse(&fs_err::read_to_string(&secret).unwrap(), None).unwrap();
    assert_eq!(read.public(), &key);

    let file = path("index.json");
    fs_err::write(&file, b"index").unwrap();
    run(
        "minisign",
        &["-S", "-s", text(&secret), "-m", text(&file), "-t", "name=a"],
    );
    let signature = fs_err::read_to_string(path("index.json.minisig")).unwrap();
    let signature = Signature::parse(&signature).unwrap();
    assert_eq!(signature.key_id(), key.id());
    assert_eq!(signature.trusted_comment(), "name=a");
    key.verify(b"index", &signature).unwrap();
    assert!(key.verify(b"other", &signature).is_err());

    // Debian's minisign leaves out leading zeros, the crate does not.
    let comment = fs_err::read_to_string(&public).unwrap();
    let id = key.id().to_string();
    assert!(comment.contains(id.trim_start_matches('0')), "{comment}");
}

#[test]
fn stock_minisign_signs_with_our_unprotected_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let new = generate(None).unwrap();
    fs_err::write(path("k.key"), new.secret.expose_secret()).unwrap();
    fs_err::write(path("index.json"), b"index").unwrap();
    let (secret, file) = (path("k.key"), path("index.json"));
    run("minisign", &["-S", "-s", text(&secret), "-m", text(&file)]);
    let signature = fs_err::read_to_string(path("index.json.minisig")).unwrap();
    let signature = Signature::parse(&signature).unwrap();
    new.public.verify(b"index", &signature).unwrap();
}

#[test]
fn stock_minisign_signs_with_our_protected_key() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let password = SecretString::from("a password");
    let new = generate(Some(&password)).unwrap();
    fs_err::write(path("k.key"), new.secret.expose_secret()).unwrap();
    fs_err::write(path("index.json"), b"index").unwrap();
    let mut child = Command::new("minisign")
        .args(["-S", "-s", text(&path("k.key")), "-m"])
        .arg(path("index.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a password\n").unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let signature = fs_err::read_to_string(path("index.json.minisig")).unwrap();
    let signature = Signature::parse(&signature).unwrap();
    new.public.verify(b"index", &signature).unwrap();
}

#[test]
fn skopeo_reads_each_image_by_its_reference() {
    let made = Made::new("skopeo");
    for (reference, config) in made.references.iter().zip(&made.configs) {
        let source = format!("oci-archive:{}:{reference}", text(&made.path()));
        let raw = run("skopeo", &["inspect", "--raw", &source]);
        assert!(raw.contains(&config.to_string()), "{raw}");
        let target = format!("dir:{}", text(&made.dir.path().join("copy")));
        run(
            "skopeo",
            &["copy", "--quiet", "--insecure-policy", &source, &target],
        );
    }
}

#[test]
fn umoci_unpacks_an_image() {
    let made = Made::new("umoci");
    let layout = made.unpack();
    let listed = run("umoci", &["list", "--layout", text(&layout)]);
    for reference in &made.references {
        assert!(listed.contains(reference.as_str()), "{listed}");
    }
}

#[test]
fn podman_loads_every_image_by_hand() {
    let made = Made::new("podman");
    let at = |name: &str| text(&made.dir.path().join(name)).to_owned();
    // A store of its own: no image of this machine is touched.
    let (root, runroot) = (at("podman"), at("podman-run"));
    let store = [
        "--root",
        &root,
        "--runroot",
        &runroot,
        "--storage-driver",
        "vfs",
        "--cgroup-manager",
        "cgroupfs",
    ];
    let podman = |arguments: &[&str]| run("podman", &[&store, arguments].concat());
    podman(&["load", "--quiet", "-i", text(&made.path())]);
    for (reference, config) in made.references.iter().zip(&made.configs) {
        let id = podman(&["image", "inspect", "--format", "{{.Id}}", reference]);
        assert_eq!(id.trim(), config.hex());
    }
}

/// Removes images from the engine, also when the test fails.
struct Cleanup<'a>(&'a [String]);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        for reference in self.0 {
            output("docker", &["rmi", "--force", reference]);
        }
    }
}

#[test]
fn docker_loads_the_bundle_by_hand() {
    let made = Made::new("docker");
    let _cleanup = Cleanup(&made.references);
    run("docker", &["load", "--quiet", "-i", text(&made.path())]);
    for (reference, config) in made.references.iter().zip(&made.configs) {
        let id = run(
            "docker",
            &["image", "inspect", "--format", "{{.Id}}", reference],
        );
        assert_eq!(id.trim(), config.to_string());
    }
}

#[test]
fn small_blobs_are_handed_out_verified() {
    let made = Made::new("blob");
    let bundle = UntrustedBundle::open(&made.path())
        .unwrap()
        .verify(&store(&made.key))
        .unwrap();
    let config = bundle.blob(&made.configs[0]).unwrap();
    assert_eq!(Digest::of(&config), made.configs[0]);
    assert_eq!(
        bundle.blob_size(&made.configs[0]),
        Some(config.len() as u64)
    );
    assert!(bundle.blob(&Digest::of(b"not there")).is_err());
    assert!(bundle.reader(&Digest::of(b"not there")).is_err());
}
