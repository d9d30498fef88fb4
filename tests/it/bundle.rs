//! Stock tools read and check a bundle without lfctl.

use std::path::{Path, PathBuf};

use lfctl::bundle::{Bundle, UntrustedBundle};
use lfctl::engine::docker::Docker;
use lfctl::engine::{ContainerEngine, EngineTarget};
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::sign::{SecretKey, Signature, TrustedKey, generate};
use lfctl::transfer::plan::known;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::support::bundle::{Cleanup, key, noise, output, run, store};
use crate::support::podman::Podman;

/// A bundle of two images under names that nobody else uses.
struct Made {
    dir: tempfile::TempDir,
    key: SecretKey,
    tag: String,
    references: [String; 2],
    configs: [Digest; 2],
}

impl Made {
    /// The same images in a bundle made up on the spot, and in one that was
    /// pulled and has a list of packages: one artifact more in its layout.
    fn each(tag: &str) -> Vec<Self> {
        vec![
            Self::new(tag),
            #[cfg(feature = "pull")]
            Self::pulled(&format!("{tag}-sbom")),
        ]
    }

    fn new(tag: &str) -> Self {
        let (made, fake) = Self::begin(tag);
        fake.write(&made.path(), &made.key).unwrap();
        made
    }

    #[cfg(feature = "pull")]
    fn pulled(tag: &str) -> Self {
        use lfctl::bundle::create::{ImagesFrom, Options, create};
        use lfctl::bundle::spec::{BundleSpec, SCHEMA};
        use lfctl::oci::registry::Mirror;
        let (made, fake) = Self::begin(tag);
        let registry = crate::support::registry::LocalRegistry::start();
        let mut images = std::collections::BTreeMap::new();
        for (key, (reference, image)) in &fake.images {
            registry.push(reference.strip_prefix("lfctl.test/").unwrap(), image);
            images.insert(key.clone(), reference.clone());
        }
        let spec = BundleSpec {
            schema: SCHEMA,
            release: fake.release,
            lfctl: fake.lfctl,
            platforms: vec!["linux/amd64".to_owned()],
            images,
            upgrade: fake.upgrade,
            trust: fake.trust,
            stack: fake.stack,
        };
        let options = Options {
            base: None,
            platform: None,
            from: ImagesFrom::Registries,
            registry: lfctl::oci::registry::Options {
                mirrors: vec![Mirror::new("lfctl.test", &registry.address()).unwrap()],
                plain_http: true,
                ..lfctl::oci::registry::Options::default()
            },
            lock: None,
            locked: false,
            created: None,
            sbom: true,
            output: made.path(),
            split: None,
        };
        let creating = create(&spec, &options, &made.key, &lfctl::report::event::Silent);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(creating).unwrap();
        let bundle = made.open();
        let sbom = bundle.blob(&bundle.manifest().sbom.unwrap()).unwrap();
        assert!(
            String::from_utf8(sbom)
                .unwrap()
                .contains("pkg:deb/debian/libc6")
        );
        made
    }

    /// A place, a key, and what is to be bundled there.
    fn begin(tag: &str) -> (Self, Fake) {
        let dir = tempfile::tempdir().unwrap();
        let key = key();
        let noise = noise(7, 200_000);
        let packages =
            b"Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n";
        let base = FakeLayer::files(&[
            ("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
            ("var/lib/dpkg/status", packages),
            ("noise", &noise),
        ]);
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
        let fake = fake
            .image("app", &references[0], one)
            .image("gateway", &references[1], two);
        let made = Self {
            dir,
            key,
            tag: tag.to_owned(),
            references,
            configs,
        };
        (made, fake)
    }

    fn open(&self) -> Bundle {
        UntrustedBundle::open(&self.path())
            .unwrap()
            .verify(&store(&self.key))
            .unwrap()
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
#[ignore = "needs a registry and minisign"]
fn tar_and_minisign_check_a_bundle() {
    for made in Made::each("minisign") {
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
}

#[test]
#[ignore = "needs a registry"]
fn every_blob_has_the_digest_of_its_name() {
    for made in Made::each("sha256sum") {
        let blobs = made.unpack().join("blobs/sha256");
        let mut count = 0;
        for entry in fs_err::read_dir(blobs).unwrap() {
            let path = entry.unwrap().path();
            let printed = run("sha256sum", &[text(&path)]);
            assert!(printed.starts_with(path.file_name().unwrap().to_str().unwrap()));
            count += 1;
        }
        let sbom = usize::from(made.open().manifest().sbom.is_some());
        assert_eq!(count, 2 + 1 + 4 + 3 + sbom);
    }
}

#[test]
#[ignore = "needs minisign"]
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
#[ignore = "needs minisign"]
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
#[ignore = "needs minisign"]
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
#[ignore = "needs a registry"]
fn skopeo_reads_each_image_by_its_reference() {
    for made in Made::each("skopeo") {
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
}

#[test]
#[ignore = "needs a registry and umoci"]
fn umoci_unpacks_an_image() {
    for made in Made::each("umoci") {
        let layout = made.unpack();
        let listed = run("umoci", &["list", "--layout", text(&layout)]);
        let mut listed: Vec<_> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!(listed, made.references);
        for (reference, name) in made.references.iter().zip(["one", "two"]) {
            let image = format!("{}:{reference}", text(&layout));
            let to = made.dir.path().join(name);
            run("umoci", &["unpack", "--image", &image, text(&to)]);
            let file = |name: &str| fs_err::read(to.join("rootfs").join(name)).unwrap();
            assert_eq!(file(name), made.tag.as_bytes());
            assert!(file("noise") == noise(7, 200_000));
        }
    }
}

#[test]
#[ignore = "needs a registry and Podman"]
fn podman_loads_every_image_by_hand() {
    for made in Made::each("podman") {
        let podman = Podman::new();
        podman.client(&["load", "--quiet", "-i", text(&made.path())]);
        for (reference, config) in made.references.iter().zip(&made.configs) {
            let id = podman.client(&["image", "inspect", "--format", "{{.Id}}", reference]);
            assert_eq!(id.trim(), config.hex());
        }
        // Nothing came along that is no image of the bundle.
        assert_eq!(podman.left().len(), made.references.len());
    }
}

#[test]
#[ignore = "needs a registry and Docker"]
fn docker_loads_the_bundle_by_hand() {
    for made in Made::each("docker") {
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
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_image_that_the_operator_loaded_keeps_his_tag() {
    let made = Made::new("own-tag");
    let _cleanup = Cleanup(&made.references);
    let bundle = made.open();
    let engine = Docker::connect(&EngineTarget::Auto).await.unwrap();
    let facts = engine.facts().await.unwrap();
    let tags = async || {
        let known = known(&engine, &bundle, &facts, None).await.unwrap();
        let count = |key: &str| known[key].tags.contains(&known[key].reference);
        [count("app"), count("gateway")]
    };
    assert_eq!(tags().await, [true, true]);
    run("docker", &["load", "--quiet", "-i", text(&made.path())]);
    assert_eq!(tags().await, [false, false]);
    // With lfctl's own tag beside it, lfctl brought it.
    let own = &lfctl::transfer::plan::expected(&bundle, &facts)["app"].tags[0];
    run("docker", &["tag", &made.references[0], own]);
    assert_eq!(tags().await, [true, false]);
    run("docker", &["rmi", own]);
}

#[test]
fn small_blobs_are_handed_out_verified() {
    let made = Made::new("blob");
    let bundle = made.open();
    let config = bundle.blob(&made.configs[0]).unwrap();
    assert_eq!(Digest::of(&config), made.configs[0]);
    assert_eq!(
        bundle.blob_size(&made.configs[0]),
        Some(config.len() as u64)
    );
    assert!(bundle.blob(&Digest::of(b"not there")).is_err());
    assert!(bundle.reader(&Digest::of(b"not there")).is_err());
}
