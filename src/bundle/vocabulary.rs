//! What names and references of a bundle manifest may be.
//!
//! They end up in file names, tags and what operators read. A signer must not
//! be able to make one of them look like something else.

use std::collections::BTreeMap;

use super::manifest::BundleManifest;
use super::spec::{is_release_name, parse_pinned, parse_platform};
use crate::stack::validate::is_legal_name;

/// Every word of a bundle manifest that may not be there.
pub(super) fn check(manifest: &BundleManifest) -> Vec<String> {
    let mut wrong = Vec::new();
    if !is_release_name(&manifest.release.name) {
        wrong.push(format!("release name {:?}", manifest.release.name));
    }
    if parse_platform(&manifest.platform.to_string()).is_err() {
        wrong.push(format!("platform {:?}", manifest.platform.to_string()));
    }
    let base = manifest.base.iter().map(|base| base.name.as_str());
    for name in base {
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            wrong.push(format!("name of the base {name:?}"));
        }
    }
    let mut digests = BTreeMap::new();
    for (key, image) in &manifest.images {
        let reference = &image.reference;
        if !is_legal_name(key) {
            wrong.push(format!("image key {key:?}"));
        }
        // Its digest is signed: a tag that moves elsewhere is the same image here.
        if let Err(problem) = parse_pinned(reference) {
            wrong.push(format!("reference {reference:?} {problem}"));
        }
        let first = digests.entry(reference).or_insert(image.manifest);
        if *first != image.manifest {
            wrong.push(format!(
                "reference {reference:?} names both {first} and {}",
                image.manifest
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::fake::bundle::Fake;
    use crate::oci::digest::Digest;
    use crate::sign::{SecretKey, generate};

    #[test]
    fn a_word_that_shows_as_another_one_is_refused_although_it_is_signed() {
        type Change = fn(&mut BundleManifest);
        let cases: &[(Change, &str)] = &[
            (|m| m.release.name = "Langfuse".into(), "release name"),
            (|m| m.release.name = "../x".into(), "release name"),
            (|m| m.release.name = "l\u{430}ngfuse".into(), "release name"),
            (|m| m.release.name = "a".repeat(65), "release name"),
            (|m| m.platform.os = "Linux".into(), "platform"),
            (|m| first(m).reference = "app".into(), "names no tag"),
            (|m| first(m).reference = "app:1".into(), "leaves out"),
            (
                |m| first(m).reference = "r.test/\u{202e}ppa:1.0".into(),
                "reference",
            ),
            (
                |m| {
                    let mut other = first(m).clone();
                    other.manifest = Digest::of(b"other");
                    m.images.insert("other".into(), other);
                },
                "names both",
            ),
            (
                |m| {
                    let image = first(m).clone();
                    m.images.insert("A B".into(), image);
                },
                "image key",
            ),
        ];
        let dir = tempfile::tempdir().unwrap();
        let new = generate(None).unwrap();
        let key = SecretKey::parse(new.secret.expose_secret(), None).unwrap();
        let fake = Fake::small().unwrap();
        let manifest = fake.write(&dir.path().join("a.tar"), &key).unwrap();
        assert_eq!(check(&manifest), Vec::<String>::new());
        for (change, expected) in cases {
            let mut manifest = manifest.clone();
            change(&mut manifest);
            let wrong = check(&manifest);
            assert!(wrong.iter().any(|one| one.contains(expected)), "{wrong:?}");
        }
    }

    fn first(manifest: &mut BundleManifest) -> &mut crate::bundle::manifest::BundleImage {
        manifest.images.values_mut().next().unwrap()
    }
}
