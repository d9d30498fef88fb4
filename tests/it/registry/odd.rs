//! Images and indexes as odd as people meet them, from registries and from
//! layouts: what an engine takes is taken, what is no image is called what it
//! is.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use lfctl::fake::bundle::FakeLayer;
use lfctl::oci::archive::blob_name;
use lfctl::oci::digest::Digest;
use serde_json::{Value, json};

use super::faults::{answer, answers_of, ok, serve};
use super::{APP, Desk, GATEWAY, gateway};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Documents and layers by digest, and what the tag stands for.
#[derive(Clone)]
pub(super) struct Store {
    blobs: BTreeMap<Digest, Vec<u8>>,
    root: Value,
}

impl Store {
    fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    fn descriptor(&mut self, kind: &str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        let size = bytes.len();
        json!({"mediaType": kind, "digest": self.put(bytes), "size": size})
    }

    /// An image of plain layers whose config and manifest `edit` may change.
    pub(super) fn image(
        layers: &[&[(&str, &[u8])]],
        edit: impl FnOnce(&mut Value, &mut Value),
    ) -> Self {
        let mut store = Self {
            blobs: BTreeMap::new(),
            root: Value::Null,
        };
        let layers: Vec<_> = layers.iter().map(|files| FakeLayer::plain(files)).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let mut config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let descriptors: Vec<_> = layers
            .into_iter()
            .map(|layer| {
                let size = layer.bytes.len();
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": store.put(layer.bytes),
                    "size": size,
                })
            })
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": descriptors,
        });
        edit(&mut config, &mut manifest);
        let config = config.to_string().into_bytes();
        manifest["config"]["size"] = json!(config.len());
        manifest["config"]["digest"] = json!(store.put(config));
        store.root = store.descriptor(MANIFEST, &manifest);
        store
    }

    fn simple(mark: &str) -> Self {
        Self::image(&[&[("mark", mark.as_bytes())]], |_, _| {})
    }

    /// An index of these entries, with what lies behind them.
    fn index(entries: Vec<(Self, Value)>) -> Self {
        let mut store = Self {
            blobs: BTreeMap::new(),
            root: Value::Null,
        };
        let mut manifests = Vec::new();
        for (inner, more) in entries {
            store.blobs.extend(inner.blobs);
            let mut entry = inner.root;
            let more = more.as_object().cloned().unwrap_or_default();
            entry.as_object_mut().unwrap().extend(more);
            manifests.push(entry);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        store.root = store.descriptor(INDEX, &index);
        store
    }

    fn root(&self) -> Vec<u8> {
        let digest: Digest = self.root["digest"].as_str().unwrap().parse().unwrap();
        self.blobs[&digest].clone()
    }

    /// A registry that has this as the app, and a gateway.
    pub(super) fn serve(&self) -> String {
        let mut answers = answers_of(&[("gateway", gateway())]);
        let base = "/v2/rehearsal/app";
        for (digest, bytes) in &self.blobs {
            for kind in ["blobs", "manifests"] {
                answers.insert(format!("{base}/{kind}/{digest}"), bytes.clone());
            }
        }
        answers.insert(format!("{base}/manifests/1.0.0"), self.root());
        serve(move |asked, stream| {
            let path = asked.path.split('?').next().unwrap();
            let _ = stream.write_all(&match answers.get(path) {
                Some(bytes) => ok(bytes),
                None => answer("404 Not Found", "", b""),
            });
        })
    }
}

/// A layout of entries with names.
fn layout(dir: &Path, entries: &[(&str, &Store)]) {
    fs_err::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let mut manifests = Vec::new();
    for (name, store) in entries {
        for (digest, bytes) in &store.blobs {
            fs_err::write(dir.join(blob_name(digest)), bytes).unwrap();
        }
        let mut entry = store.root.clone();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        manifests.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    fs_err::write(dir.join("index.json"), index.to_string()).unwrap();
    let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs_err::write(dir.join("oci-layout"), marker).unwrap();
}

impl Desk {
    /// `bundle create` out of a layout of these images and a gateway.
    fn create_from(&self, apps: &[(&str, &Store)]) -> Output {
        let gateway = Store::simple("gateway");
        let entries = [apps, &[(GATEWAY, &gateway)]].concat();
        let _ = fs_err::remove_dir_all(self.path("layout"));
        layout(&self.path("layout"), &entries);
        let create = ["bundle", "create", "a.toml", "--key", "release.key"];
        self.command(&[&create[..], &["-o", "a.tar", "--from", "oci:layout"]].concat())
            .output()
            .unwrap()
    }
}

#[track_caller]
pub(super) fn assert_made(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {text}");
}

#[track_caller]
pub(super) fn assert_config(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

type Edit = fn(&mut Value, &mut Value);

#[test]
fn only_what_is_used_of_an_image_has_to_make_sense() {
    let desk = Desk::new();
    let odd: [(&str, Edit); 7] = [
        ("rootfs without a type", |config, _| {
            config["rootfs"].as_object_mut().unwrap().remove("type");
        }),
        ("no os and no architecture", |config, _| {
            config["os"] = Value::Null;
            config.as_object_mut().unwrap().remove("architecture");
        }),
        ("null for maps", |config, _| {
            config["config"] =
                json!({"ExposedPorts": null, "Volumes": null, "Labels": null, "Env": null});
        }),
        ("text for a list", |config, _| {
            config["config"] = json!({"Entrypoint": "/bin/sh", "Cmd": "-c"});
        }),
        ("no config and odd history", |config, _| {
            config["config"] = Value::Null;
            config["history"] = json!([null, {"created": 7}]);
        }),
        ("null annotations and urls", |_, manifest| {
            manifest["annotations"] = Value::Null;
            manifest["layers"][0]["urls"] = Value::Null;
            manifest["config"]["annotations"] = Value::Null;
        }),
        ("an old registry's type of a config", |_, manifest| {
            manifest["config"]["mediaType"] = json!("application/octet-stream");
        }),
    ];
    for (what, edit) in odd {
        let image = Store::image(&[&[("a", b"a")]], edit);
        assert_made(&desk.create_from(&[(APP, &image)]), what);
        desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);
    }
    for diff_ids in [
        json!({"type": "layers"}),
        json!({"diff_ids": null}),
        Value::Null,
    ] {
        let image = Store::image(&[], |config, manifest| {
            config["rootfs"] = diff_ids.clone();
            manifest["layers"] = Value::Null;
        });
        assert_made(
            &desk.create_from(&[(APP, &image)]),
            "an image without layers",
        );
        desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);
    }
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    let desk = Desk::new();
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let chart = Store::image(&[], |_, manifest| {
        manifest["config"]["mediaType"] = json!(helm);
    });
    assert_config(
        &desk.create_from(&[(APP, &chart)]),
        &[APP, "a Helm chart", helm],
    );
    let layer = |kind: &'static str| {
        Store::image(&[&[("a", b"a")]], move |_, manifest| {
            manifest["layers"][0]["mediaType"] = json!(kind);
        })
    };
    let zstd = layer("application/vnd.oci.image.layer.v1.tar+zstd");
    let words = [
        "zstd",
        APP,
        "hint: ",
        "--dest-compress-format gzip",
        "--from oci:DIR",
    ];
    assert_config(&desk.create_from(&[(APP, &zstd)]), &words);
    let foreign = layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let words = ["may not be distributed", APP, "--from docker"];
    assert_config(&desk.create_from(&[(APP, &foreign)]), &words);

    for (document, words) in [
        (
            r#"{"schemaVersion":1,"name":"a","tag":"1","fsLayers":[],"history":[]}"#,
            ["schema 1", "skopeo copy --format v2s2"],
        ),
        (
            "<!doctype html><title>Sign in</title>",
            ["a web page", "curl -i"],
        ),
    ] {
        let address = serve(move |_, stream| {
            let _ = stream.write_all(&ok(document.as_bytes()));
        });
        assert_config(&desk.pull(&address, &[], &[]), &words);
    }
}

#[test]
fn an_index_is_followed_to_the_image_of_the_platform() {
    let amd = json!({"platform": {"os": "linux", "architecture": "amd64"}});
    let arm = json!({"platform": {"os": "linux", "architecture": "arm64"}});
    let unknown = json!({"platform": {"os": "unknown", "architecture": "unknown"}});
    let other = |store: Store, kind: &str| (store, json!({"mediaType": kind}));
    let of_arm = || {
        Store::image(&[&[("arm", b"")]], |config, _| {
            config["architecture"] = json!("arm64");
        })
    };
    let nested = Store::index(vec![
        (Store::simple("app"), amd.clone()),
        (Store::simple("proof"), unknown.clone()),
    ]);
    let odd = [
        ("nested", Store::index(vec![(nested.clone(), amd.clone())])),
        (
            "nested without a platform",
            Store::index(vec![(nested, json!({}))]),
        ),
        (
            "no platforms",
            Store::index(vec![
                (of_arm(), json!({})),
                (Store::simple("app"), json!({})),
            ]),
        ),
        (
            "an unknown kind first",
            Store::index(vec![
                other(Store::simple("x"), "application/vnd.example+json"),
                (Store::simple("app"), amd.clone()),
            ]),
        ),
        (
            "an artifact without a platform",
            Store::index(vec![
                (
                    Store::image(&[], |_, manifest| {
                        manifest["config"]["mediaType"] =
                            json!("application/vnd.oci.empty.v1+json");
                    }),
                    json!({"platform": null}),
                ),
                (
                    Store::simple("app"),
                    json!({"platform": null, "annotations": null}),
                ),
            ]),
        ),
    ];
    let desk = Desk::new();
    let simple = Digest::of(&Store::simple("app").root()).to_string();
    for (what, store) in odd {
        assert_made(&desk.pull(&store.serve(), &[], &[]), what);
        let inspect = [
            "bundle",
            "inspect",
            "a.tar",
            "--json",
            "--trusted-key",
            "release.pub",
        ];
        let found = desk.lfctl(&inspect);
        assert!(found.contains(&simple), "{what}, from a registry: {found}");
        assert_made(&desk.create_from(&[(APP, &store)]), what);
        let found = desk.lfctl(&inspect);
        assert!(found.contains(&simple), "{what}, from a layout: {found}");
    }
    let store = Store::index(vec![(of_arm(), arm), (of_arm(), json!({}))]);
    for refused in [
        desk.pull(&store.serve(), &[], &[]),
        desk.create_from(&[(APP, &store)]),
    ] {
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains("it is for linux/arm64"), "{text}");
    }
}

#[test]
fn a_name_that_stands_for_two_images_is_not_decided() {
    let desk = Desk::new();
    let (old, new) = (Store::simple("old"), Store::simple("new"));
    let digests = [&old, &new].map(|store| Digest::of(&store.root()).to_string());
    for other in [APP, "rehearsal/app:1.0.0"] {
        let refused = desk.create_from(&[(APP, &old), (other, &new)]);
        let words = [
            &["stands for 2 images", APP],
            &digests.each_ref().map(String::as_str)[..],
        ];
        assert_config(&refused, &words.concat());
    }
    assert_made(
        &desk.create_from(&[(APP, &old), (APP, &old)]),
        "the same twice",
    );
    // A digest behind the reference says which is meant.
    let spec = fs_err::read_to_string(desk.path("a.toml")).unwrap();
    let pinned = format!("{APP}@{}", digests[1]);
    fs_err::write(desk.path("a.toml"), spec.replace(APP, &pinned)).unwrap();
    assert_made(&desk.create_from(&[(APP, &old), (APP, &new)]), "pinned");
    let inspect = [
        "bundle",
        "inspect",
        "a.tar",
        "--json",
        "--trusted-key",
        "release.pub",
    ];
    assert!(desk.lfctl(&inspect).contains(&digests[1]));
}
