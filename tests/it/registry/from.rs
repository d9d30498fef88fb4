//! Bundles of images that are on the machine already.

use lfctl::fake::bundle::{FakeImage, FakeLayer};
use lfctl::oci::archive::blob_name;
use lfctl::oci::digest::Digest;
use serde_json::Value;

use super::{Desk, LocalRegistry, names, spec};
use crate::support::bundle::{Cleanup, noise, run};
use crate::support::podman::Podman;

const TRUST: [&str; 2] = ["--trusted-key", "release.pub"];

/// Two images under names that nobody else uses, and the bundle of them that
/// a registry gives.
struct Images {
    desk: Desk,
    references: Vec<String>,
    app: FakeImage,
    gateway: FakeImage,
}

impl Images {
    fn new(name: &str) -> Self {
        let (registry, desk) = (LocalRegistry::start(), Desk::new());
        let base =
            FakeLayer::files(&[("etc/base", name.as_bytes()), ("noise", &noise(5, 300_000))]);
        let app = FakeImage::new(vec![base.clone(), FakeLayer::files(&[("app", b"app")])]);
        let gateway = FakeImage::new(vec![base, FakeLayer::plain(&[("gateway", b"gateway")])]);
        let repository = |key: &str| format!("lfctl-it-{}-{name}/{key}:1.0.0", std::process::id());
        let mut spec = spec();
        for (key, reference) in &mut spec.images {
            *reference = format!("docker.io/{}", repository(key));
        }
        fs_err::write(desk.path("a.toml"), toml::to_string(&spec).unwrap()).unwrap();
        registry.push(&repository("app"), &app);
        registry.push(&repository("gateway"), &gateway);
        let mirror = format!("docker.io={}", registry.address());
        desk.lfctl(&Desk::create(&mirror, &mirror));
        Self {
            desk,
            references: spec.images.into_values().collect(),
            app,
            gateway,
        }
    }

    fn create<'a>(output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let create = [
            "bundle",
            "create",
            "a.toml",
            "--key",
            "release.key",
            "-o",
            output,
        ];
        [&create, more].concat()
    }

    /// A layout as `tar` unpacks it from the bundle of the registry.
    fn layout(&self, name: &str) {
        fs_err::create_dir(self.desk.path(name)).unwrap();
        let (tar, to) = (self.desk.path("a.tar"), self.desk.path(name));
        run(
            "tar",
            &["-xf", tar.to_str().unwrap(), "-C", to.to_str().unwrap()],
        );
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.desk.path(name)).unwrap()
    }

    fn manifest(&self, bundle: &str) -> Value {
        let inspect = ["--json", "bundle", "inspect", bundle];
        let text = self.desk.lfctl(&[&inspect[..], &TRUST].concat());
        serde_json::from_str::<Value>(&text).unwrap()["manifest"].clone()
    }

    /// Exit code and words of a run that makes no bundle.
    fn refused(&self, more: &[&str]) -> (Option<i32>, String) {
        let before = names(self.desk.dir.path());
        let output = self
            .desk
            .command(&Self::create("refused.tar", more))
            .output()
            .unwrap();
        assert_eq!(names(self.desk.dir.path()), before, "something was left");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Holds a bundle made from an engine against the images: their configs,
    /// and their layers as they are once inflated.
    fn assert_inflated(&self, bundle: &str) {
        self.desk
            .lfctl(&[&["bundle", "verify", bundle][..], &TRUST].concat());
        let manifest = self.manifest(bundle);
        for (key, image) in [("app", &self.app), ("gateway", &self.gateway)] {
            let found = &manifest["images"][key];
            assert_eq!(found["config"], Digest::of(&image.config).to_string());
            let layers = found["layers"].as_array().unwrap();
            assert_eq!(layers.len(), image.layers.len());
            for (found, layer) in layers.iter().zip(&image.layers) {
                assert_eq!(found["digest"], layer.diff_id.to_string());
                assert_eq!(found["diff-id"], layer.diff_id.to_string());
                assert_eq!(found["size"], layer.unpacked);
            }
        }
        assert!(
            manifest["sbom"].is_string(),
            "layers were scanned on the way"
        );
    }
}

#[test]
#[ignore = "needs a registry"]
fn a_layout_gives_the_bundle_that_the_registry_gives() {
    let images = Images::new("layout");
    images.layout("layout");
    images.desk.lfctl(&Images::create(
        "b.tar",
        &["--from", "oci:layout", "--locked"],
    ));
    assert!(images.bytes("a.tar") == images.bytes("b.tar"));

    // The layout that skopeo writes has them under the same names. Left to
    // itself it would compress what is not.
    for reference in &images.references {
        let from = format!("oci:{}:{reference}", images.desk.path("layout").display());
        let to = format!("oci:{}:{reference}", images.desk.path("copied").display());
        run(
            "skopeo",
            &[
                "copy",
                "--quiet",
                "--insecure-policy",
                "--preserve-digests",
                &from,
                &to,
            ],
        );
    }
    images.desk.lfctl(&Images::create(
        "c.tar",
        &["--from", "oci:copied", "--locked"],
    ));
    assert!(images.bytes("a.tar") == images.bytes("c.tar"));
}

#[test]
#[ignore = "needs a registry"]
fn a_layout_is_not_believed() {
    let images = Images::new("lies");
    let (code, words) = images.refused(&["--from", "oci:nowhere"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("is not an OCI image layout"), "{words}");

    images.layout("layout");
    let layer = images
        .desk
        .path("layout")
        .join(blob_name(&images.app.layers[0].digest()));
    let right = fs_err::read(&layer).unwrap();
    let mut wrong = right.clone();
    wrong[1000] ^= 1;
    fs_err::write(&layer, &wrong).unwrap();
    let (code, words) = images.refused(&["--from", "oci:layout"]);
    assert_eq!(code, Some(4), "{words}");
    assert!(
        words.contains(&images.app.layers[0].digest().to_string()),
        "{words}"
    );

    for cut in [&right[..right.len() - 1], b""] {
        fs_err::write(&layer, cut).unwrap();
        let (code, words) = images.refused(&["--from", "oci:layout"]);
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("is not there"), "{words}");
        assert!(words.contains("or leave out `--from`"), "{words}");
    }
    fs_err::write(&layer, right).unwrap();

    let config = images
        .desk
        .path("layout")
        .join(blob_name(&Digest::of(&images.app.config)));
    fs_err::write(config, b"{}").unwrap();
    let (code, words) = images.refused(&["--from", "oci:layout"]);
    assert_eq!(code, Some(4), "{words}");
    for word in ["has other content", "leave out `--from`"] {
        assert!(words.contains(word), "no `{word}` in {words}");
    }

    let index = images.desk.path("layout").join("index.json");
    let text = fs_err::read_to_string(&index).unwrap();
    fs_err::write(index, text.replace("/app:1.0.0", "/other:1.0.0")).unwrap();
    let (code, words) = images.refused(&["--from", "oci:layout"]);
    assert_eq!(code, Some(1), "{words}");
    // What is there instead, and how to put the right one there.
    assert!(
        words.contains("/other:1.0.0") && words.contains("skopeo copy"),
        "{words}"
    );
}

#[test]
#[ignore = "needs a registry and Docker"]
fn what_docker_has_is_bundled_with_its_layers_inflated() {
    let images = Images::new("docker");
    let _cleanup = Cleanup(&images.references);
    let from = ["--from", "docker"];
    let (code, words) = images.refused(&from);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("docker pull docker.io/"), "{words}");

    run(
        "docker",
        &[
            "load",
            "-q",
            "-i",
            images.desk.path("a.tar").to_str().unwrap(),
        ],
    );
    images.desk.lfctl(&Images::create("b.tar", &from));
    images.assert_inflated("b.tar");
    images.desk.lfctl(&Images::create(
        "c.tar",
        &[&from[..], &["--locked"]].concat(),
    ));
    assert!(images.bytes("b.tar") == images.bytes("c.tar"));

    // Parts are filled by the same stream.
    let split = ["--split", "100K", "--locked"];
    images
        .desk
        .lfctl(&Images::create("d.tar", &[&from[..], &split].concat()));
    let mut joined = Vec::new();
    for part in 1.. {
        match fs_err::read(images.desk.path(&format!("d.tar.{part:03}"))) {
            Ok(bytes) => joined.extend(bytes),
            Err(_) => break,
        }
    }
    assert!(joined == images.bytes("b.tar"));

    // A layer on its own is found by what it is, whichever image it came with.
    let one = [&from[..], &["--base", "c.tar"]].concat();
    images.desk.lfctl(&Images::create("e.tar", &one));
    assert!(
        images.manifest("e.tar")["base"]["absent"]
            .as_array()
            .unwrap()
            .len()
            == 3
    );
}

#[test]
#[ignore = "needs a registry and Podman"]
fn what_podman_has_is_bundled_as_well() {
    let images = Images::new("podman");
    let podman = Podman::serve();
    podman.client(&[
        "load",
        "-q",
        "-i",
        images.desk.path("a.tar").to_str().unwrap(),
    ]);
    let socket = format!("unix://{}", podman.socket().display());
    let from = ["--from", "podman", "--engine", &socket];
    images.desk.lfctl(&Images::create("b.tar", &from));
    images.assert_inflated("b.tar");
}
