use super::bundle::*;
use crate::bundle::layout::{Delta, LayoutError};
use crate::bundle::{OpenError, UntrustedBundle};
use crate::host::trust::TrustStore;
use crate::oci::digest::Digest;
use crate::report::event::Silent;
use crate::sign::{SecretKey, generate};
use fs_err::os::unix::fs::FileExt;
use secrecy::ExposeSecret;
use semver::Version;

fn key() -> SecretKey {
    let new = generate(None).unwrap();
    SecretKey::parse(new.secret.expose_secret(), None).unwrap()
}

#[test]
fn the_small_stack_keeps_the_rules() {
    let fake = Fake::small().unwrap();
    let images = fake.images.keys().cloned().collect();
    assert_eq!(
        crate::stack::validate::validate(&fake.stack, &images),
        Ok(())
    );
}

#[test]
fn what_is_written_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bundle.tar");
    let key = key();
    let manifest = Fake::small().unwrap().write(&path, &key).unwrap();
    let store = TrustStore::of([key.public().clone()]);
    let bundle = UntrustedBundle::open(&path)
        .unwrap()
        .verify(&store)
        .unwrap();
    assert_eq!(bundle.manifest(), &manifest);
    assert_eq!(bundle.key_id(), Some(key.public().id()));
    assert_eq!(bundle.stack().services.len(), 4);
    let receipt = bundle.verify_blobs(&Silent).unwrap();
    assert_eq!((receipt.images, receipt.layers, receipt.blobs), (2, 3, 8));
    assert_eq!(receipt.size, fs_err::metadata(&path).unwrap().len());
    assert_eq!(receipt.unpacked_bytes, manifest.unpacked_bytes());

    let blind = UntrustedBundle::open(&path)
        .unwrap()
        .trust_blindly()
        .unwrap();
    assert_eq!(blind.key_id(), None);
    assert_eq!(blind.digest(), bundle.digest());
}

#[test]
fn sbom_delta_and_trust_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bundle.tar");
    let key = key();
    let mut fake = Fake::small().unwrap();
    let absent = fake.images["app"].1.layers[0].digest();
    let sbom = br#"{"bomFormat":"CycloneDX"}"#.to_vec();
    fake.sbom = Some(sbom.clone());
    fake.trust.revoke = vec!["1234".parse().unwrap()];
    fake.delta = Some(Delta {
        name: "rehearsal 0.9.0".to_owned(),
        digest: Digest::of(b"index"),
        absent: [absent].into(),
    });
    let manifest = fake.write(&path, &key).unwrap();
    let store = TrustStore::of([key.public().clone()]);
    let bundle = UntrustedBundle::open(&path)
        .unwrap()
        .verify(&store)
        .unwrap();
    assert_eq!(bundle.manifest(), &manifest);
    assert_eq!(manifest.absent().len(), 1);
    assert!(matches!(
        bundle.reader(&absent),
        Err(OpenError::NoSuchBlob(_))
    ));
    assert_eq!(bundle.blob(&manifest.sbom.unwrap()).unwrap(), sbom);
    let receipt = bundle.verify_blobs(&Silent).unwrap();
    assert_eq!((receipt.layers, receipt.blobs), (2, 8));

    // The last byte of the SBOM lies before its padding and the end.
    let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
    let last = manifest.blobs.last().unwrap().size;
    let at = receipt.size - 1024 - 512 + last - 1;
    file.write_all_at(b"!", at).unwrap();
    let error = bundle.verify_blobs(&Silent).unwrap_err();
    assert!(error.to_string().contains("bill of materials"), "{error}");
}

#[test]
fn what_is_left_out_is_a_layer() {
    let dir = tempfile::tempdir().unwrap();
    let mut fake = Fake::small().unwrap();
    fake.delta = Some(Delta {
        name: "x".to_owned(),
        digest: Digest::of(b""),
        absent: [Digest::of(b"no layer")].into(),
    });
    let error = fake.write(&dir.path().join("a.tar"), &key()).unwrap_err();
    assert!(matches!(
        error,
        FakeError::Layout(LayoutError::NotALayer(_))
    ));
}

#[test]
fn the_index_does_not_depend_on_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let digest = |name: &str| {
        let path = dir.path().join(name);
        Fake::small().unwrap().write(&path, &key()).unwrap();
        let bundle = UntrustedBundle::open(&path).unwrap();
        bundle.trust_blindly().unwrap().digest()
    };
    assert_eq!(digest("a"), digest("b"));
}

#[test]
fn a_bundle_for_a_newer_lfctl_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bundle.tar");
    let key = key();
    let mut fake = Fake::small().unwrap();
    fake.lfctl = Version::new(9, 0, 0);
    fake.write(&path, &key).unwrap();
    let store = TrustStore::of([key.public().clone()]);
    let error = UntrustedBundle::open(&path)
        .unwrap()
        .verify(&store)
        .unwrap_err();
    assert!(matches!(error, OpenError::NewerLfctl { .. }), "{error}");
}
