//! Whose signature counts, and what a signature does not excuse.

use lfctl::bundle::{OpenError, UntrustedBundle};
use lfctl::host::trust::TrustStore;
use lfctl::report::event::Silent;
use lfctl::sign::SignError;
use serde_json::json;

use super::{Names, assert_says, refusal, verify};
use crate::support::bundle::{Parts, key};

#[test]
fn each_lack_of_trust_has_its_own_words() {
    let key = key();
    let parts = Parts::small(&key);
    let bytes = parts.assemble();

    let error = verify(&bytes, &TrustStore::of([])).unwrap_err();
    assert!(
        matches!(error, OpenError::Signature(SignError::NoTrustedKeys(_))),
        "{error}"
    );

    let other = crate::support::bundle::key();
    let error = refusal(&bytes, &other);
    assert_says(&error, &key.public().id().to_string());
    assert_says(&error, &other.public().id().to_string());

    let dir = tempfile::tempdir().unwrap();
    let mut host = TrustStore::load(&dir.path().join("keys"), &dir.path().join("revoked")).unwrap();
    host.add(key.public(), None).unwrap();
    verify(&bytes, &host).unwrap();
    host.revoke(key.public().id()).unwrap();
    let error = verify(&bytes, &host).unwrap_err();
    assert!(
        matches!(error, OpenError::Signature(SignError::Revoked(_))),
        "{error}"
    );

    let mut unsigned = parts.clone();
    unsigned.0.remove(2);
    let error = refusal(&unsigned.assemble(), &key);
    assert!(matches!(error, OpenError::Unsigned), "{error}");
    let mut empty = parts;
    empty.0[2].1.clear();
    let error = refusal(&empty.assemble(), &key);
    assert!(matches!(error, OpenError::Unsigned), "{error}");
}

#[test]
fn blind_trust_skips_the_signature_and_nothing_else() {
    let key = key();
    let mut parts = Parts::small(&key);
    let names = Names::of(&parts);
    let blindly = |parts: &Parts, flip: Option<&str>| {
        let mut bytes = parts.assemble();
        if let Some(name) = flip {
            bytes[usize::try_from(parts.entry(name).data()).unwrap()] ^= 1;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.tar");
        fs_err::write(&path, bytes).unwrap();
        UntrustedBundle::open(&path)?
            .trust_blindly()?
            .verify_blobs(&Silent)
    };
    assert_eq!(blindly(&parts, None).unwrap().key_id, None);
    for name in [&names.bundle, &names.stack, &names.config, &names.layer] {
        assert!(blindly(&parts, Some(name)).is_err());
    }
    parts.0.remove(2);
    assert_eq!(blindly(&parts, None).unwrap().key_id, None);
}

#[test]
fn a_comment_about_another_bundle_is_refused() {
    let key = key();
    let mut parts = Parts::small(&key);
    parts.forge(
        &key,
        Some("name=rehearsal version=9.9.9 counter=99 created=2026-01-02T03:04:05Z"),
        |_| {},
    );
    let error = refusal(&parts.assemble(), &key);
    assert!(matches!(error, OpenError::Comment { .. }), "{error}");
    assert_says(&error, "version=9.9.9");
}

type Change = fn(&mut serde_json::Value);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_signature_does_not_excuse_contradictions() {
    let key = key();
    let cases: [(&str, Change, &str); 13] = [
        (
            "a newer format",
            |bundle| {
                bundle["format"] = json!(2);
                bundle["lfctl"] = json!("7.0.0");
            },
            "lfctl 7.0.0 or later is needed",
        ),
        (
            "a newer lfctl",
            |bundle| bundle["lfctl"] = json!("7.0.0"),
            "needs lfctl 7.0.0",
        ),
        (
            "another size of a layer",
            |bundle| bundle["images"]["app"]["layers"][0]["size"] = json!(1),
            "image `docker.io/rehearsal/app:1.0.0` does not agree",
        ),
        (
            "another diff_id",
            |bundle| {
                bundle["images"]["app"]["layers"][0]["diff-id"] =
                    bundle["images"]["app"]["layers"][0]["digest"].clone();
            },
            "image `docker.io/rehearsal/app:1.0.0` does not agree",
        ),
        (
            "one layer less",
            |bundle| {
                bundle["images"]["app"]["layers"]
                    .as_array_mut()
                    .unwrap()
                    .pop();
            },
            "image `docker.io/rehearsal/app:1.0.0` does not agree",
        ),
        (
            "another reference",
            |bundle| bundle["images"]["app"]["reference"] = json!("docker.io/evil/app:1.0.0"),
            "index.json does not agree",
        ),
        (
            "an image that nobody lists",
            |bundle| {
                bundle["images"].as_object_mut().unwrap().remove("gateway");
            },
            "list of blobs does not agree",
        ),
        (
            "sizes that overflow",
            |bundle| bundle["blobs"][4]["size"] = json!(u64::MAX),
            "more than a file can hold",
        ),
        (
            "an SBOM that is another blob",
            |bundle| bundle["sbom"] = bundle["stack"].clone(),
            "list of blobs does not agree",
        ),
        (
            "a layer that is absent and carried",
            |bundle| {
                let layer = bundle["blobs"].as_array().unwrap().last().unwrap().clone();
                bundle["base"] = json!({"name": "x", "digest": bundle["stack"], "absent": [layer]});
            },
            "list of blobs does not agree",
        ),
        (
            "something absent that no image has",
            |bundle| {
                let other = json!({"digest": bundle["stack"], "size": 1});
                bundle["base"] = json!({"name": "x", "digest": bundle["stack"], "absent": [other]});
            },
            "list of absent layers does not agree",
        ),
        (
            "a key that is none",
            |bundle| bundle["trust"] = json!({"introduce": ["RWQ"]}),
            "bundle manifest cannot be read",
        ),
        (
            "no blobs at all",
            |bundle| bundle["blobs"] = json!([]),
            "list of blobs does not agree",
        ),
    ];
    for (what, change, fragment) in cases {
        let mut parts = Parts::small(&key);
        parts.forge(&key, None, change);
        let error = refusal(&parts.assemble(), &key);
        assert!(
            error.to_string().contains(fragment),
            "{what}: expected `{fragment}` in: {error}"
        );
    }
}

#[test]
fn sizes_that_nobody_can_add_up_are_refused() {
    let key = key();
    for field in ["size", "unpacked"] {
        let mut parts = Parts::small(&key);
        parts.forge(&key, None, |bundle| {
            bundle["images"]["app"]["layers"][0][field] = json!(u64::MAX);
        });
        assert_says(
            &refusal(&parts.assemble(), &key),
            "more than a file can hold",
        );
    }
}
