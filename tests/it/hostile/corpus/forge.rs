//! A bundle of the corpus with one document changed, and everything that
//! depends on it made to fit and signed again.

use lfctl::oci::archive::blob_name;
use lfctl::oci::digest::Digest;
use lfctl::sign::{SecretKey, Signature};
use lfctl::transfer::load::private_tag;
use serde_json::{Value, json};

use crate::support::bundle::Parts;

/// A document of a bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    Stack,
    Config,
    Image,
    Bundle,
    Artifact,
    Index,
}

/// The bundle with what `change` makes of the text of a document.
pub(super) fn forge(
    good: &Parts,
    key: &SecretKey,
    document: Document,
    change: impl Fn(&str) -> String,
) -> Parts {
    let old = Names::of(good);
    let text = |name: &str| String::from_utf8(good.get(name).to_vec()).unwrap();
    let changed = |this: Document, text: String| {
        if this == document {
            change(&text)
        } else {
            text
        }
    };
    let describe = |value: &mut Value, text: &str| {
        value["digest"] = json!(Digest::of(text.as_bytes()));
        value["size"] = json!(text.len());
    };

    let stack = changed(Document::Stack, text(&old.stack));
    let config = changed(Document::Config, text(&old.config));
    let mut image = parse(good.get(&old.image));
    describe(&mut image["config"], &config);
    let image = changed(Document::Image, image.to_string());

    let mut bundle = parse(good.get(&old.bundle));
    bundle["stack"] = json!(Digest::of(stack.as_bytes()));
    for key in ["app", "gateway"] {
        bundle["images"][key]["config"] = json!(Digest::of(config.as_bytes()));
        bundle["images"][key]["manifest"] = json!(Digest::of(image.as_bytes()));
    }
    let mut small = [config, image.clone()];
    small.sort_by_key(|text| Digest::of(text.as_bytes()));
    for (slot, text) in [&stack, &small[0], &small[1]].into_iter().enumerate() {
        describe(&mut bundle["blobs"][slot], text);
    }
    let bundle = changed(Document::Bundle, bundle.to_string());

    let mut artifact = parse(good.get(&old.artifact));
    describe(&mut artifact["config"], &bundle);
    describe(&mut artifact["layers"][0], &stack);
    let artifact = changed(Document::Artifact, artifact.to_string());

    let mut index = parse(good.get("index.json"));
    describe(&mut index["manifests"][0], &artifact);
    describe(&mut index["manifests"][1], &image);
    let index = changed(Document::Index, index.to_string());

    let blob = |text: String| (blob_name(&Digest::of(text.as_bytes())), text.into_bytes());
    let mut parts = good.clone();
    parts.0.truncate(4);
    let [config, image] = small;
    parts
        .0
        .extend([artifact, bundle, stack, config, image].map(blob));
    parts.0.extend(good.0.last().cloned());
    let docker = parse(good.get("manifest.json"));
    parts.0[3].1 = docker_index(&parts, docker).to_string().into_bytes();
    sign(&mut parts, key, None, index.into_bytes());
    parts
}

/// What `docker load` reads names the config by its path.
fn docker_index(parts: &Parts, mut docker: Value) -> Value {
    let is_config = |(_, bytes): &&(String, Vec<u8>)| {
        serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value.get("rootfs").is_some())
    };
    if let Some((name, _)) = parts.0.iter().find(is_config) {
        docker[0]["Config"] = json!(name);
    }
    docker
}

/// Puts another index there, signed.
pub(super) fn sign(parts: &mut Parts, key: &SecretKey, comment: Option<&str>, index: Vec<u8>) {
    let old = std::str::from_utf8(parts.get("index.json.minisig")).unwrap();
    let old = Signature::parse(old).unwrap();
    let comment = comment.unwrap_or(old.trusted_comment());
    parts.0[2].1 = key.sign(&index, comment).unwrap().into_bytes();
    parts.0[1].1 = index;
}

pub(super) fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Names of the entries by what they are for.
pub(super) struct Names {
    pub(super) artifact: String,
    pub(super) bundle: String,
    pub(super) stack: String,
    pub(super) image: String,
    pub(super) config: String,
    pub(super) layer: String,
}

impl Names {
    pub(super) fn of(parts: &Parts) -> Self {
        let names = crate::hostile::Names::of(parts);
        Self {
            artifact: names.artifact,
            bundle: names.bundle,
            stack: names.stack,
            image: names.manifest,
            config: names.config,
            layer: names.layer,
        }
    }
}

/// The names that an engine has for its image once it is loaded.
pub(super) fn references(parts: &Parts) -> [String; 2] {
    let bundle = parse(parts.get(&Names::of(parts).bundle));
    let image = &bundle["images"]["app"];
    let reference = image["reference"].as_str().unwrap();
    let config = image["config"].as_str().unwrap().parse().unwrap();
    [private_tag(reference, &config), reference.to_owned()]
}
