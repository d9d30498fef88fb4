//! Images and indexes made by hand, in a registry or a layout.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use lfctl::fake::bundle::FakeLayer;
use lfctl::oci::archive::blob_name;
use lfctl::oci::digest::Digest;
use serde_json::{Value, json};

use super::super::server::{answer, answers_of, ok, serve};
use super::super::{Desk, GATEWAY, gateway};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Documents and layers by digest, and what the tag stands for.
#[derive(Clone)]
pub(crate) struct Store {
    blobs: BTreeMap<Digest, Vec<u8>>,
    root: Value,
}

impl Store {
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> Digest {
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

    pub(super) fn simple(mark: &str) -> Self {
        Self::image(&[&[("mark", mark.as_bytes())]], |_, _| {})
    }

    /// An index of these entries, with what lies behind them.
    pub(super) fn index(entries: Vec<(Self, Value)>) -> Self {
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

    pub(super) fn root(&self) -> Vec<u8> {
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
    pub(super) fn create_from(&self, apps: &[(&str, &Store)]) -> Output {
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
