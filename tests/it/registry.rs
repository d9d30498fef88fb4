//! Bundles made from a real registry on loopback.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lfctl::bundle::create::{CreateError, Created, ImagesFrom, Options, create};
use lfctl::bundle::lock::{Lock, Locked};
use lfctl::bundle::spec::{BundleSpec, SCHEMA};
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::oci::registry::{self, Mirror, RequestLimits};
use lfctl::report::event::Silent;
use lfctl::sign::SecretKey;

use self::layers::{Fault, flaky_proxy};
use crate::support::bundle::{Parts, key, noise};
use crate::support::registry::LocalRegistry;
use crate::support::schema;

mod delta;
mod faults;
mod from;
mod full_disk;
mod layers;
mod locks;
mod logins;
mod network;
mod odd;
mod pace;
mod password;
mod proxy;
mod redirects;
mod resume;
mod sbom;
mod server;
mod tls;

const APP: &str = "docker.io/rehearsal/app:1.0.0";
const GATEWAY: &str = "quay.io/rehearsal/gateway:1.0.0";

fn app(seed: u32) -> FakeImage {
    FakeImage::new(vec![
        FakeLayer::files(&[("base", &noise(1, 300_000))]),
        FakeLayer::files(&[("app", &noise(seed, 2_000_000))]),
    ])
}

fn gateway() -> FakeImage {
    FakeImage::new(vec![
        FakeLayer::files(&[("base", &noise(1, 300_000))]),
        FakeLayer::plain(&[("gateway", &noise(3, 1000))]),
    ])
}

fn spec() -> BundleSpec {
    let fake = Fake::small().unwrap();
    BundleSpec {
        schema: SCHEMA,
        release: fake.release,
        lfctl: fake.lfctl,
        platforms: vec!["linux/amd64".to_owned()],
        images: BTreeMap::from([
            ("app".to_owned(), APP.to_owned()),
            ("gateway".to_owned(), GATEWAY.to_owned()),
        ]),
        upgrade: fake.upgrade,
        trust: fake.trust,
        stack: fake.stack,
    }
}

fn options(address: &str, output: &Path) -> Options {
    Options {
        base: None,
        platform: None,
        from: ImagesFrom::Registries,
        registry: registry::Options {
            mirrors: vec![
                Mirror::new("docker.io", address).unwrap(),
                Mirror::new("quay.io", address).unwrap(),
            ],
            plain_http: true,
            limits: RequestLimits {
                backoff: Duration::from_millis(20),
                silence: Duration::from_secs(2),
                document: Duration::from_secs(4),
                ..RequestLimits::default()
            },
            ..registry::Options::default()
        },
        lock: None,
        locked: true,
        created: None,
        sbom: true,
        output: output.to_owned(),
        split: None,
    }
}

fn lock_of(locked: &Locked) -> Lock {
    Lock::of("linux/amd64".to_owned(), locked.clone())
}

fn make(options: &Options, key: &SecretKey) -> Result<Created, CreateError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(create(&spec(), options, key, &Silent))
}

fn pushed() -> LocalRegistry {
    let registry = LocalRegistry::start();
    registry.push("rehearsal/app:1.0.0", &app(2));
    registry.push("rehearsal/gateway:1.0.0", &gateway());
    registry
}

fn names(dir: &Path) -> Vec<String> {
    fs_err::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
#[ignore = "needs a registry"]
fn the_same_lock_gives_the_same_bytes() {
    let registry = pushed();
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    let first = make(
        &options(&registry.address(), &dir.path().join("a.tar")),
        &key,
    )
    .unwrap();
    assert_eq!((first.receipt.images, first.receipt.layers), (2, 3));
    assert_eq!(first.receipt.file, dir.path().join("a.tar"));
    assert_eq!(first.receipt.key_id, Some(key.public().id()));
    assert_eq!(first.receipt.created.to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(first.lock.images[APP], Digest::of(&app(2).manifest));

    let mut again = options(&registry.address(), &dir.path().join("b.tar"));
    again.lock = Some(lock_of(&first.lock));
    let second = make(&again, &key).unwrap();
    assert_eq!(second.lock, first.lock);
    assert_eq!(second.receipt.index, first.receipt.index);

    let bytes = |name: &str| fs_err::read(dir.path().join(name)).unwrap();
    assert!(bytes("a.tar") == bytes("b.tar"));
    let parts = Parts::of(&bytes("a.tar"));
    assert_eq!(parts.assemble(), bytes("a.tar"));
    let mut left = names(dir.path());
    left.sort();
    assert_eq!(left, ["a.tar", "b.tar"]);

    // Layers are stored as the registry serves them.
    let layer = &app(2).layers[1];
    let stored = parts
        .0
        .into_iter()
        .find(|(name, _)| *name == lfctl::oci::archive::blob_name(&layer.digest()))
        .unwrap();
    assert_eq!(stored.1, layer.bytes);
}

#[test]
#[ignore = "needs a registry"]
fn a_bundle_is_cut_while_it_is_made() {
    let registry = pushed();
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    let mut options = options(&registry.address(), &dir.path().join("a.tar"));
    make(&options, &key).unwrap();
    let whole = fs_err::read(dir.path().join("a.tar")).unwrap();
    fs_err::remove_file(dir.path().join("a.tar")).unwrap();
    options.split = Some(1_000_000);
    let receipt = make(&options, &key).unwrap().receipt;
    assert_eq!(receipt.file, dir.path().join("a.tar.parts"));
    let mut left = names(dir.path());
    left.sort();
    let count = whole.len().div_ceil(1_000_000);
    assert_eq!(left.len(), count + 2, "{left:?}");
    let joined: Vec<u8> = left[..count]
        .iter()
        .flat_map(|name| fs_err::read(dir.path().join(name)).unwrap())
        .collect();
    assert!(joined == whole);
}

/// A spec, a key and a place to run the program in.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let desk = Self { dir };
        fs_err::write(desk.path("a.toml"), toml::to_string(&spec()).unwrap()).unwrap();
        desk.lfctl(&["key", "generate", "--no-password", "-o", "release"]);
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lfctl"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("DOCKER_CONFIG", self.dir.path());
        command
    }

    fn lfctl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        schema::check(arguments, &output.stdout);
        String::from_utf8(output.stdout).unwrap()
    }

    fn create<'a>(docker: &'a str, quay: &'a str) -> Vec<&'a str> {
        vec![
            "bundle",
            "create",
            "a.toml",
            "-o",
            "a.tar",
            "--key",
            "release.key",
            "--plain-http",
            "--mirror",
            docker,
            "--mirror",
            quay,
        ]
    }
}

#[test]
#[ignore = "needs a registry"]
fn the_program_makes_locks_verifies_and_shows_a_bundle() {
    let registry = pushed();
    let desk = Desk::new();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let create = Desk::create(&docker, &quay);
    let printed = desk.lfctl(&create);
    assert!(printed.contains("rehearsal 1.0.0 (counter 1)"), "{printed}");
    assert!(desk.path("a.toml.lock").exists());

    let verify = ["bundle", "verify", "a.tar", "--trusted-key", "release.pub"];
    let printed = desk.lfctl(&[&["--json"], &verify[..]].concat());
    let receipt: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(receipt["images"], 2);
    assert_eq!(receipt["release"]["name"], "rehearsal");
    let shown = desk.lfctl(&["bundle", "inspect", "a.tar", "--trusted-key", "release.pub"]);
    assert!(shown.contains(APP) && shown.contains(GATEWAY), "{shown}");

    // Nobody is trusted on this host: exit code 4.
    let refused = desk
        .command(&["--root", "root", "bundle", "verify", "a.tar"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(4));

    registry.push("rehearsal/app:1.0.0", &app(99));
    let locked = [&create[..], &["--locked"]].concat();
    let refused = desk.command(&locked).output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("moved"));
    // The bundle that was there is untouched.
    desk.lfctl(&verify);

    // A caller that does not ask for the lock is told what it said before.
    let made = desk.command(&create).output().unwrap();
    let text = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{text}");
    let (before, now) = (app(2).manifest, app(99).manifest);
    let (before, now) = (Digest::of(&before), Digest::of(&now));
    let moved = format!("`{APP}` moved: it is now {now}, it was {before}");
    assert!(text.contains(&moved), "{text}");
    assert!(!text.contains(GATEWAY), "{text}");
    let again = desk.command(&create).output().unwrap();
    assert!(!String::from_utf8_lossy(&again.stderr).contains("moved"));
}

#[test]
#[ignore = "needs a registry"]
fn an_interrupt_leaves_nothing_behind() {
    let registry = pushed();
    let (port, stalled) = flaky_proxy(registry.port, 900_000, Fault::Stall);
    let desk = Desk::new();
    let (docker, quay) = (
        format!("docker.io=127.0.0.1:{port}"),
        format!("quay.io=127.0.0.1:{port}"),
    );
    let child = desk
        .command(&Desk::create(&docker, &quay))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while stalled.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed().as_secs() < 30, "the pull never began");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(desk.path(".a.tar.partial").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(12), "{text}");
    assert!(text.contains("it starts from the beginning"), "{text}");
    let mut left = names(desk.dir.path());
    left.sort();
    assert_eq!(left, ["a.toml", "release.key", "release.pub"]);
}
