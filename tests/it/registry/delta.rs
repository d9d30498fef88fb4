//! Bundles that leave out what is there, from the registry to the engine.

use lfctl::engine::Images;
use std::collections::BTreeSet;

use lfctl::fake::bundle::{FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::transfer::load::private_tag;
use serde_json::Value;

use super::{Desk, LocalRegistry, pushed, spec};
use crate::support::bundle::noise;
use crate::support::engine::Rig;

const TRUST: [&str; 2] = ["--trusted-key", "release.pub"];

/// Two releases of one image and another that does not change, all on one
/// base that no other test uses.
struct Releases {
    rig: Rig,
    registry: LocalRegistry,
    desk: Desk,
    old: FakeImage,
    new: FakeImage,
    gateway: FakeImage,
}

impl Releases {
    async fn new() -> Self {
        let rig = Rig::new().await;
        let (registry, desk) = (LocalRegistry::start(), Desk::new());
        let base = FakeLayer::files(&[("mark", rig.name.as_bytes()), ("os", &noise(1, 50_000))]);
        let app = FakeLayer::files(&[("app", &noise(2, 20_000))]);
        let more = FakeLayer::files(&[("more", &noise(3, 10_000))]);
        let front = FakeLayer::plain(&[("gateway", &noise(4, 10_000))]);
        let releases = Self {
            old: FakeImage::new(vec![base.clone(), app.clone()]),
            new: FakeImage::new(vec![base.clone(), app, more]),
            gateway: FakeImage::new(vec![base, front]),
            rig,
            registry,
            desk,
        };
        let mut spec = spec();
        for (key, reference) in &mut spec.images {
            *reference = releases.reference(key);
            releases.rig.forget_reference(reference);
        }
        let text = toml::to_string(&spec).unwrap();
        fs_err::write(releases.desk.path("a.toml"), text).unwrap();
        for (key, image) in releases.images() {
            let tag = private_tag(&releases.reference(key), &Digest::of(&image.config));
            releases.rig.forget_reference(&tag);
        }
        releases.push("gateway", &releases.gateway);
        releases
    }

    fn images(&self) -> [(&'static str, &FakeImage); 3] {
        [
            ("app", &self.old),
            ("app", &self.new),
            ("gateway", &self.gateway),
        ]
    }

    fn reference(&self, key: &str) -> String {
        format!("docker.io/{}/{key}:1.0.0", self.rig.name)
    }

    fn push(&self, key: &str, image: &FakeImage) {
        self.registry
            .push(&format!("{}/{key}:1.0.0", self.rig.name), image);
    }

    fn create(&self, output: &str, more: &[&str]) {
        let mirror = format!("docker.io={}", self.registry.address());
        let (create, key) = (["bundle", "create", "a.toml"], ["--key", "release.key"]);
        let from = ["--plain-http", "--mirror", &mirror, "-o", output];
        self.desk.lfctl(&[&create[..], &key, &from, more].concat());
    }

    /// A bundle of the old release, and a smaller one of the new release.
    fn both(&self) {
        self.push("app", &self.old);
        self.create("old.tar", &[]);
        self.push("app", &self.new);
        self.create("new.tar", &["--base", "old.tar"]);
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let more = ["--json", "--root", "root"];
        let text = self.desk.lfctl(&[arguments, &TRUST, &more].concat());
        serde_json::from_str(&text).unwrap()
    }

    fn manifest(&self, bundle: &str) -> Value {
        self.json(&["bundle", "inspect", bundle])["manifest"].clone()
    }

    /// Loads a bundle and says what the engine was sent.
    fn load(&self, arguments: &[&str]) -> BTreeSet<String> {
        let load = ["bundle", "load"];
        let more = ["--json", "--root", "root"];
        let text = self.desk.lfctl(&[&load, arguments, &TRUST, &more].concat());
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let outcome: Value = lines
            .find(|line: &Value| line["event"] == "loaded")
            .unwrap();
        let images = outcome["images"].as_array().unwrap();
        images
            .iter()
            .flat_map(|image| image["sent-layers"].as_array().unwrap())
            .map(|layer| layer.as_str().unwrap().to_owned())
            .collect()
    }

    /// Exit code and all that a refused load says.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let more = ["--root", "root"];
        let output = self
            .desk
            .command(&[&["bundle", "load"], arguments, &TRUST, &more].concat())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    }

    fn remove_images(&self) {
        for (key, image) in self.images() {
            let reference = self.reference(key);
            let tag = private_tag(&reference, &Digest::of(&image.config));
            for one in [tag, reference] {
                std::process::Command::new("docker")
                    .args(["rmi", &one])
                    .output()
                    .unwrap();
            }
        }
    }

    async fn held(&self) -> usize {
        let mut held = 0;
        for (_, image) in self.images() {
            let id = Digest::of(&image.config).to_string();
            held += usize::from(self.rig.engine.image(&id).await.unwrap().is_some());
        }
        held
    }
}

fn digests(layers: &[FakeLayer]) -> BTreeSet<String> {
    layers.iter().map(|one| one.digest().to_string()).collect()
}

fn absent(manifest: &Value) -> BTreeSet<String> {
    let absent = manifest["base"]["absent"].as_array().unwrap();
    let digest = |blob: &Value| blob["digest"].as_str().unwrap().to_owned();
    absent.iter().map(digest).collect()
}

#[tokio::test]
#[ignore = "needs an engine and a registry"]
async fn a_delta_leaves_out_what_its_base_has_and_knows_it_all_the_same() {
    let releases = Releases::new().await;
    releases.both();
    let manifest = releases.manifest("new.tar");
    let everything = [&releases.old.layers[..], &releases.gateway.layers].concat();
    assert_eq!(absent(&manifest), digests(&everything));
    assert_eq!(manifest["base"]["name"], "rehearsal 1.0.0");
    let old = releases.json(&["bundle", "verify", "old.tar"]);
    assert_eq!(manifest["base"]["digest"], old["index"]);
    let delta = releases.json(&["bundle", "verify", "new.tar"]);
    assert_eq!(delta["layers"], 1);

    // Packages and sizes are those of a full bundle.
    releases.create("full.tar", &[]);
    let full = releases.manifest("full.tar");
    assert_eq!(manifest["images"], full["images"]);
    let components = |bundle| releases.json(&["bundle", "sbom", bundle])["components"].clone();
    assert_eq!(components("new.tar"), components("full.tar"));
    let shown = releases
        .desk
        .lfctl(&[&["bundle", "inspect", "new.tar"], &TRUST[..]].concat());
    assert!(shown.contains("left out    3 layers"), "{shown}");

    // What the base has is not even asked for when nothing of it is unknown.
    for digest in digests(&everything) {
        let digest: Digest = digest.parse().unwrap();
        fs_err::remove_file(releases.registry.blob_file(&digest)).unwrap();
    }
    releases.create("lean.tar", &["--base", "old.tar", "--no-sbom"]);
    assert_eq!(releases.manifest("lean.tar")["images"], full["images"]);
}

#[tokio::test]
#[ignore = "needs an engine and a registry"]
async fn a_delta_loads_only_where_nothing_is_missing() {
    let releases = Releases::new().await;
    releases.both();
    for more in [&[][..], &["--dry-run"]] {
        let (code, text) = releases.refused(&[&["new.tar"], more].concat());
        assert_eq!(code, Some(5), "{text}");
        let everything = [&releases.old.layers[..], &releases.gateway.layers].concat();
        for layer in digests(&everything) {
            assert!(text.contains(&layer), "{layer} is not named: {text}");
        }
        assert!(text.contains("rehearsal 1.0.0") && text.contains("--base"));
        assert!(text.contains(&releases.reference("gateway")), "{text}");
        assert_eq!(releases.held().await, 0);
    }
    // The older bundle has them.
    let sent = releases.load(&["new.tar", "--base", "old.tar"]);
    let all = [&releases.new.layers[..], &releases.gateway.layers].concat();
    assert_eq!(sent, digests(&all));
    releases.remove_images();
    releases.rig.must_take_partial_archives();
    // So has an engine that took it.
    releases.load(&["old.tar"]);
    let sent = releases.load(&["new.tar"]);
    assert_eq!(sent, digests(&releases.new.layers[2..]));
    assert_eq!(releases.held().await, 3);
}

#[tokio::test]
#[ignore = "needs an engine and a registry"]
async fn a_host_says_what_it_has() {
    let releases = Releases::new().await;
    releases.rig.must_take_partial_archives();
    releases.push("app", &releases.old);
    releases.create("old.tar", &[]);
    releases.load(&["old.tar"]);
    let text = releases.desk.lfctl(&["inventory"]);
    assert!(text.contains(&Digest::of(&releases.old.config).to_string()));
    releases.desk.lfctl(&["inventory", "-o", "host.json"]);
    releases.push("app", &releases.new);
    releases.create("new.tar", &["--base", "host.json"]);
    let manifest = releases.manifest("new.tar");
    let everything = [&releases.old.layers[..], &releases.gateway.layers].concat();
    assert_eq!(absent(&manifest), digests(&everything));
    let sent = releases.load(&["new.tar"]);
    assert_eq!(sent, digests(&releases.new.layers[2..]));

    // A host that is another, in the end, is not touched.
    releases.remove_images();
    assert_eq!(releases.refused(&["new.tar"]).0, Some(5));
    assert_eq!(releases.held().await, 0);
}

#[tokio::test]
#[ignore = "needs an engine and a registry"]
async fn a_base_that_cannot_be_one_is_refused() {
    let releases = Releases::new().await;
    releases.both();
    let desk = &releases.desk;
    desk.lfctl(&["inventory", "-o", "host.json"]);
    let text = fs_err::read_to_string(desk.path("host.json")).unwrap();
    let architecture = format!("\"{}\"", releases.rig.facts.architecture);
    let arm = text.replace(&architecture, "\"riscv64\"");
    fs_err::write(desk.path("other.json"), arm).unwrap();
    fs_err::write(desk.path("broken.json"), "{").unwrap();
    desk.lfctl(&["key", "generate", "--no-password", "-o", "stranger"]);
    let mirror = format!("docker.io={}", releases.registry.address());
    let create = |more: &[&str]| {
        let arguments = ["bundle", "create", "a.toml", "-o", "x.tar", "--plain-http"];
        let key = ["--key", "release.key", "--mirror", &mirror];
        let output = desk
            .command(&[&arguments[..], &key, more].concat())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!desk.path("x.tar").exists(), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = create(&["--base", "other.json"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("riscv64"), "{text}");
    let (code, text) = create(&["--base", "broken.json"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("lfctl inventory"), "{text}");
    let (code, text) = create(&["--base", "old.tar", "--trusted-key", "stranger.pub"]);
    assert_eq!(code, Some(4), "{text}");
}

/// By its content, whatever it is called.
#[test]
#[ignore = "needs a registry"]
fn an_inventory_is_told_from_a_bundle_by_its_first_byte() {
    let registry = pushed();
    let desk = Desk::new();
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let create = |base: &str| {
        let create = Desk::create(&docker, &quay);
        let output = desk.command(&[&create[..], &["--base", base]].concat());
        let output = { output }.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let inventory = r#"{"schema":1,"host":"h","platform":{"os":"linux","architecture":"amd64"},"whole-images":false,"images":[]}"#;
    fs_err::write(desk.path("host"), inventory).unwrap();
    let (code, text) = create("host");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("host h has no layer"), "{text}");

    // One without an end is not held.
    let endless = fs_err::File::create(desk.path("endless")).unwrap();
    std::io::Write::write_all(&mut &endless, b"{").unwrap();
    endless.set_len(1 << 40).unwrap();
    let (code, text) = create("endless");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("4194304 are the most"), "{text}");

    // A bundle may be called as it likes, and its list of parts is JSON.
    fs_err::rename(desk.path("a.tar"), desk.path("old.json")).unwrap();
    let (code, text) = create("old.json");
    assert_eq!(code, Some(0), "{text}");
    let split = [
        "bundle",
        "split",
        "old.json",
        "--size",
        "1M",
        "-o",
        "parts",
        "--key",
        "release.key",
        "--trusted-key",
        "release.pub",
    ];
    desk.lfctl(&split);
    let (code, text) = create("parts/old.json.parts");
    assert_eq!(code, Some(0), "{text}");
}
