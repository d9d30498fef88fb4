//! What a trusted key may have signed all the same: a maker that is buggy,
//! hostile, or was lied to.

use lfctl::fake::bundle::FakeLayer;
use lfctl::oci::digest::Digest;
use lfctl::sign::SecretKey;
use serde_json::{Value, json};

use super::forge::Document::{self, Artifact, Bundle, Config, Image, Index, Stack};
use super::forge::forge;
use super::{Case, bundle};
use crate::support::bundle::Parts;

const CONTRADICTS: &str = "does not agree with the bundle manifest";

type Change = fn(&mut Value);
type Texts<'a> = [(
    &'static str,
    &'static str,
    &'static str,
    Document,
    &'a dyn Fn(&str) -> String,
); 7];

/// A change of a document as JSON.
fn changed(change: Change) -> impl Fn(&str) -> String {
    move |text| {
        let mut value = serde_json::from_str(text).unwrap();
        change(&mut value);
        value.to_string()
    }
}

fn said_twice(text: &str, key: &str, other: &str) -> String {
    let found = format!("\"{key}\":");
    assert!(text.contains(&found), "no {key} in {text}");
    text.replacen(&found, &format!("\"{key}\":{other},{found}"), 1)
}

/// Documents that contradict each other, or that cannot be read.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn documents(good: &Parts, key: &SecretKey) -> Vec<Case> {
    let values: [(&str, &str, &str, Document, Change); 16] = [
        (
            "signed-layer-size",
            "another size of the layer than the image manifest has",
            CONTRADICTS,
            Bundle,
            |v| v["images"]["app"]["layers"][0]["size"] = json!(1),
        ),
        (
            "signed-diff-id",
            "another diff id than the image config has",
            CONTRADICTS,
            Bundle,
            |v| v["images"]["app"]["layers"][0]["diff-id"] = v["stack"].clone(),
        ),
        (
            "signed-no-layer",
            "one layer less than the image has",
            CONTRADICTS,
            Bundle,
            |v| v["images"]["app"]["layers"] = json!([]),
        ),
        (
            "signed-reference",
            "another reference than the index has",
            CONTRADICTS,
            Bundle,
            |v| v["images"]["app"]["reference"] = json!("corpus.test/evil:1"),
        ),
        (
            "signed-platform",
            "another platform than the image is for",
            CONTRADICTS,
            Bundle,
            |v| v["platform"]["architecture"] = json!("arm64"),
        ),
        (
            "signed-no-blobs",
            "a list of no blobs",
            CONTRADICTS,
            Bundle,
            |v| v["blobs"] = json!([]),
        ),
        (
            "signed-blob-twice",
            "a list with the layer twice",
            "truncated",
            Bundle,
            |v| {
                let last = v["blobs"][3].clone();
                v["blobs"].as_array_mut().unwrap().push(last);
            },
        ),
        (
            "signed-overflow",
            "sizes of blobs that overflow",
            "add up to more",
            Bundle,
            |v| v["blobs"][3]["size"] = json!(u64::MAX),
        ),
        (
            "signed-absent",
            "a layer that is left out and carried",
            CONTRADICTS,
            Bundle,
            |v| v["base"] = json!({"name": "x", "digest": v["stack"], "absent": [v["blobs"][3]]}),
        ),
        (
            "signed-key",
            "a key to be trusted that is none",
            "public key is not a minisign key",
            Bundle,
            |v| v["trust"] = json!({"introduce": ["RWQ"]}),
        ),
        (
            "signed-huge",
            "an artifact manifest of 1 TiB",
            "bytes; at most",
            Index,
            |v| v["manifests"][0]["size"] = json!(1_u64 << 40),
        ),
        (
            "signed-no-artifact",
            "an index without the artifact",
            CONTRADICTS,
            Index,
            |v| {
                v["manifests"].as_array_mut().unwrap().remove(0);
            },
        ),
        (
            "signed-index-more",
            "an image in the index that the bundle manifest has not",
            CONTRADICTS,
            Index,
            |v| {
                let image = v["manifests"][1].clone();
                v["manifests"].as_array_mut().unwrap().push(image);
            },
        ),
        (
            "signed-artifact-type",
            "a bundle manifest of another media type",
            CONTRADICTS,
            Artifact,
            |v| v["config"]["mediaType"] = json!("text/plain"),
        ),
        (
            "signed-zstd",
            "a layer that the engines cannot inflate",
            "only tar and tar+gzip can be bundled",
            Image,
            |v| v["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd"),
        ),
        (
            "signed-config",
            "an image config of another architecture",
            CONTRADICTS,
            Config,
            |v| v["architecture"] = json!("arm64"),
        ),
    ];
    let mut cases: Vec<_> = values
        .into_iter()
        .map(|(name, wrong, says, document, change)| {
            Case::of(
                name,
                wrong,
                says,
                &forge(good, key, document, changed(change)),
            )
        })
        .collect();
    let texts: Texts<'_> = [
        (
            "json-twice-release",
            "the key `release` twice in the bundle manifest",
            "duplicate field",
            Bundle,
            &|text| {
                said_twice(
                    text,
                    "release",
                    "{\"counter\":9,\"name\":\"x\",\"version\":\"9.0.0\"}",
                )
            },
        ),
        (
            "json-twice-index",
            "the key `schemaVersion` twice in the index",
            "duplicate field",
            Index,
            &|text| said_twice(text, "schemaVersion", "2"),
        ),
        (
            "json-twice-image",
            "the key `schemaVersion` twice in the image manifest",
            "duplicate field",
            Image,
            &|text| said_twice(text, "schemaVersion", "2"),
        ),
        (
            "json-deep",
            "20 000 brackets in the index",
            CONTRADICTS,
            Index,
            &|text| {
                let (open, close) = ("[".repeat(20_000), "]".repeat(20_000));
                text.replacen('{', &format!("{{\"x\":{open}{close},"), 1)
            },
        ),
        (
            "json-more",
            "text behind the bundle manifest",
            "trailing characters",
            Bundle,
            &|text| format!("{text}{{}}"),
        ),
        (
            "json-blanks",
            "an index that says the same with a blank",
            CONTRADICTS,
            Index,
            &|text| text.replacen(':', ": ", 1),
        ),
        (
            "stack-socket",
            "a stack that mounts the engine's socket",
            "unknown field `host`",
            Stack,
            &|text| {
                text.replacen("\"memory-mib\":16,", "\"memory-mib\":16,\"mounts\":[{\"host\":\"/var/run/docker.sock\",\"path\":\"/s\"}],", 1)
            },
        ),
    ];
    cases.extend(
        texts
            .into_iter()
            .map(|(name, wrong, says, document, change)| {
                Case::of(name, wrong, says, &forge(good, key, document, change))
            }),
    );
    let newer = forge(
        good,
        key,
        Bundle,
        changed(|v| {
            v["format"] = json!(2);
            v["lfctl"] = json!("7.0.0");
        }),
    );
    cases.push(
        Case::of(
            "signed-newer",
            "a format of the future",
            "lfctl 7.0.0 or later",
            &newer,
        )
        .code(1),
    );
    cases
}

fn spell(value: &mut Value, change: impl Fn(&str) -> String) {
    *value = json!(change(value.as_str().unwrap()));
}

/// Spellings that are no digest.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn digests(good: &Parts, key: &SecretKey) -> Vec<Case> {
    let values: [(&str, &str, &str, Document, Change); 7] = [
        (
            "digest-upper",
            "a digest in upper case",
            "is not a digest of the form",
            Bundle,
            |v| {
                spell(&mut v["stack"], |text| {
                    text.to_uppercase().replace("SHA", "sha")
                });
            },
        ),
        (
            "digest-short",
            "a digest of 63 digits",
            "is not a digest of the form",
            Bundle,
            |v| spell(&mut v["stack"], |text| text[..70].to_owned()),
        ),
        (
            "digest-bare",
            "a digest without `sha256:`",
            "is not a digest of the form",
            Bundle,
            |v| spell(&mut v["stack"], |text| text[7..].to_owned()),
        ),
        (
            "digest-sha512",
            "a digest of another kind",
            "is not a digest of the form",
            Bundle,
            |v| spell(&mut v["stack"], |text| format!("sha512:{0}{0}", &text[7..])),
        ),
        (
            "digest-path",
            "a digest that is a path",
            "is not a digest of the form",
            Bundle,
            |v| v["stack"] = json!("sha256:../../../../etc/passwd"),
        ),
        (
            "digest-index",
            "a digest in the index that is a path",
            "index.json cannot be read",
            Index,
            |v| v["manifests"][0]["digest"] = json!("sha256:../../../../etc/passwd"),
        ),
        (
            "digest-layer",
            "a digest in the image manifest with a blank",
            "image `corpus.test/app:1` cannot be read",
            Image,
            |v| spell(&mut v["layers"][0]["digest"], |text| format!("{text} ")),
        ),
    ];
    values
        .into_iter()
        .map(|(name, wrong, says, document, change)| {
            Case::of(
                name,
                wrong,
                says,
                &forge(good, key, document, changed(change)),
            )
        })
        .collect()
}

/// Layers that are what was signed, byte for byte, and lie.
pub(super) fn layers(key: &SecretKey) -> Vec<Case> {
    let zeros = vec![0; 1 << 20];
    let with = |change: fn(&mut FakeLayer)| {
        let mut layer = FakeLayer::files(&[("zeros", &zeros)]);
        change(&mut layer);
        bundle(key, layer)
    };
    vec![
        Case::of(
            "bomb",
            "a layer that inflates to 512 times what was signed",
            "layer sha256:",
            &with(|layer| layer.unpacked = 2048),
        )
        .only_loading(),
        Case::of(
            "signed-unpacked",
            "16 EiB for an inflated layer, which nobody can add to anything",
            "add up to more",
            &with(|layer| layer.unpacked = u64::MAX),
        ),
        Case::of(
            "layer-short",
            "a layer that inflates to less than what was signed",
            "layer sha256:",
            &with(|layer| layer.unpacked += 512),
        )
        .only_loading(),
        Case::of(
            "layer-lies",
            "a layer that inflates to other bytes than the image config names",
            "cannot load image",
            &with(|layer| layer.diff_id = Digest::of(b"another")),
        )
        .only_loading()
        .code(7),
        Case::of(
            "layer-no-gzip",
            "a layer that says gzip and is none",
            "layer sha256:",
            &with(|layer| layer.bytes = b"plain".to_vec()),
        )
        .only_loading(),
        Case::of(
            "layer-empty",
            "a layer of no bytes, signed",
            "layer sha256:",
            &with(|layer| layer.bytes.clear()),
        )
        .only_loading(),
    ]
}
