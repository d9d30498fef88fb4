//! Bundles that were tampered with: each is refused, and for the right reason.

use std::path::PathBuf;

use lfctl::bundle::{OpenError, Receipt, UntrustedBundle};
use lfctl::fake::bundle::Fake;
use lfctl::host::trust::TrustStore;
use lfctl::oci::archive::{ArchiveError, BLOCK};
use lfctl::report::event::Silent;
use lfctl::sign::SecretKey;
use proptest::prelude::*;

use crate::support::bundle::{Parts, blob, key, store};

mod corpus;
mod signed;

/// Opens and verifies every byte, as a careful operator would.
fn verify(bytes: &[u8], trusted: &TrustStore) -> Result<Receipt, OpenError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    fs_err::write(&path, bytes).unwrap();
    UntrustedBundle::open(&path)?
        .verify(trusted)?
        .verify_blobs(&Silent)
}

fn refusal(bytes: &[u8], key: &SecretKey) -> OpenError {
    verify(bytes, &store(key)).expect_err("a tampered bundle was accepted")
}

#[track_caller]
fn assert_says(error: &OpenError, fragment: &str) {
    assert!(
        error.to_string().contains(fragment),
        "expected `{fragment}` in: {error}"
    );
}

/// Names of the entries by what they are for.
struct Names {
    artifact: String,
    bundle: String,
    stack: String,
    manifest: String,
    config: String,
    layer: String,
}

impl Names {
    fn of(parts: &Parts) -> Self {
        let parse =
            |name: &str| -> serde_json::Value { serde_json::from_slice(parts.get(name)).unwrap() };
        let artifact = blob(&parse("index.json")["manifests"][0]["digest"]);
        let bundle = blob(&parse(&artifact)["config"]["digest"]);
        let document = parse(&bundle);
        let image = &document["images"]["app"];
        Self {
            artifact,
            stack: blob(&document["stack"]),
            manifest: blob(&image["manifest"]),
            config: blob(&image["config"]),
            layer: blob(&image["layers"][0]["digest"]),
            bundle,
        }
    }
}

#[test]
fn the_untouched_bundle_is_accepted() {
    let key = key();
    let parts = Parts::small(&key);
    verify(&parts.assemble(), &store(&key)).unwrap();
}

#[test]
fn a_flipped_byte_in_each_kind_of_content_is_named() {
    let key = key();
    let parts = Parts::small(&key);
    let names = Names::of(&parts);
    for (name, fragment) in [
        ("oci-layout", "is not a bundle"),
        ("index.json", "signature of key"),
        ("index.json.minisig", "untrusted comment"),
        ("manifest.json", "manifest.json does not agree"),
        (&names.artifact, "artifact manifest sha256:"),
        (&names.bundle, "bundle manifest sha256:"),
        (&names.stack, "stack definition sha256:"),
        (
            &names.config,
            "config of image `docker.io/rehearsal/app:1.0.0`",
        ),
        (
            &names.manifest,
            "manifest of image `docker.io/rehearsal/app:1.0.0`",
        ),
        (&names.layer, "layer sha256:"),
    ] {
        let entry = parts.entry(name);
        let mut bytes = parts.assemble();
        bytes[usize::try_from(entry.data()).unwrap() + 25] ^= 1;
        let error = refusal(&bytes, &key);
        assert_says(&error, fragment);
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_says(&error, hex);
        }
    }
}

#[test]
fn a_flipped_byte_in_each_part_of_the_signature_is_refused() {
    let key = key();
    let parts = Parts::small(&key);
    let text = String::from_utf8(parts.get("index.json.minisig").to_vec()).unwrap();
    let data = usize::try_from(parts.entry("index.json.minisig").data()).unwrap();
    let line =
        |number: usize| -> usize { text.split_inclusive('\n').take(number).map(str::len).sum() };
    for (what, at, fragment) in [
        ("key id", line(1) + 6, "which is not trusted"),
        ("signature", line(1) + 40, "signature of key"),
        ("trusted comment", line(2) + 22, "signature of key"),
        ("signature of the comment", line(3) + 40, "signature of key"),
    ] {
        let mut bytes = parts.assemble();
        // Another character of the base64 alphabet.
        let byte = &mut bytes[data + at];
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        let error = refusal(&bytes, &key);
        assert!(matches!(error, OpenError::Signature(_)), "{what}: {error}");
        assert_says(&error, fragment);
    }
}

#[test]
fn a_flipped_byte_in_each_field_of_each_header_is_named() {
    let key = key();
    let parts = Parts::small(&key);
    let fields = [
        ("name", 3),
        ("mode", 105),
        ("uid", 110),
        ("gid", 118),
        ("size", 134),
        ("mtime", 140),
        ("checksum", 150),
        ("type", 156),
        ("link name", 160),
        ("magic", 258),
        ("user name", 270),
        ("group name", 300),
        ("device", 330),
        ("prefix", 400),
        ("rest", 511),
    ];
    for entry in parts.entries() {
        for (field, at) in fields {
            let mut bytes = parts.assemble();
            bytes[usize::try_from(entry.offset).unwrap() + at] ^= 1;
            let error = refusal(&bytes, &key);
            let right = match &error {
                OpenError::NotABundle(_) => entry.name == "oci-layout",
                OpenError::Archive(ArchiveError::Header(name)) => *name == entry.name,
                _ => false,
            };
            assert!(right, "{field} of {}: {error}", entry.name);
        }
    }
}

#[test]
fn padding_and_end_blocks_are_committed_to_as_well() {
    let key = key();
    let parts = Parts::small(&key);
    for entry in parts.entries().iter().filter(|entry| entry.padding() > 0) {
        let mut bytes = parts.assemble();
        bytes[usize::try_from(entry.end()).unwrap() - 1] = 1;
        let error = refusal(&bytes, &key);
        let named = matches!(&error, OpenError::Archive(ArchiveError::Padding(name)) if *name == entry.name);
        assert!(named, "{}: {error}", entry.name);
    }
    for back in [1, BLOCK, 2 * BLOCK] {
        let mut bytes = parts.assemble();
        let at = bytes.len() - usize::try_from(back).unwrap();
        bytes[at] = 1;
        let error = refusal(&bytes, &key);
        assert!(
            matches!(error, OpenError::Archive(ArchiveError::End)),
            "{error}"
        );
    }
}

#[test]
fn a_truncated_bundle_says_where_it_ends() {
    let key = key();
    let parts = Parts::small(&key);
    let whole = parts.assemble();
    let mut cuts: Vec<usize> = parts
        .entries()
        .iter()
        .flat_map(|entry| [entry.offset, entry.data(), entry.data() + 1, entry.end()])
        .map(|cut| usize::try_from(cut).unwrap())
        .chain([1, whole.len() - 1, whole.len() - 512, whole.len() - 1024])
        .filter(|cut| *cut < whole.len())
        .collect();
    cuts.sort_unstable();
    for cut in cuts {
        let error = refusal(&whole[..cut], &key);
        let right = match &error {
            OpenError::NotABundle(_) => cut < 512,
            OpenError::Archive(ArchiveError::Truncated { at, .. }) => *at == cut as u64,
            _ => false,
        };
        assert!(right, "cut at {cut}: {error}");
    }
}

#[test]
fn anything_behind_the_end_is_refused() {
    let key = key();
    let mut bytes = Parts::small(&key).assemble();
    for extra in [1, 511, 512, 10240] {
        let len = bytes.len();
        bytes.resize(len + extra, 0);
        let error = refusal(&bytes, &key);
        assert!(
            matches!(error, OpenError::Archive(ArchiveError::Trailing { .. })),
            "{error}"
        );
        bytes.truncate(len);
    }
}

#[test]
fn entries_that_nothing_calls_for_are_refused() {
    let key = key();
    let good = Parts::small(&key);

    let mut extra = good.clone();
    extra.0.push(("evil".to_owned(), b"x".to_vec()));
    assert_says(&refusal(&extra.assemble(), &key), "trailing data");

    let mut twice = good.clone();
    let layer = twice.0.last().unwrap().clone();
    twice.0.push(layer);
    assert_says(&refusal(&twice.assemble(), &key), "trailing data");

    let mut first = good.clone();
    first.0.insert(0, ("evil".to_owned(), b"x".to_vec()));
    assert_says(&refusal(&first.assemble(), &key), "is not a bundle");

    let mut between = good.clone();
    between.0.insert(5, ("evil".to_owned(), Vec::new()));
    assert_says(&refusal(&between.assemble(), &key), "tar header of");

    let mut swapped = good;
    let last = swapped.0.len() - 1;
    swapped.0.swap(last, last - 1);
    assert_says(&refusal(&swapped.assemble(), &key), "tar header of");
}

#[test]
fn a_claim_of_a_huge_head_costs_nothing() {
    let key = key();
    let parts = Parts::small(&key);
    let mut bytes = parts.assemble();
    let entry = parts.entry("index.json");
    let huge = lfctl::oci::archive::Entry::new("index.json", 1 << 40, entry.offset).unwrap();
    let at = usize::try_from(entry.offset).unwrap();
    bytes[at..at + 512].copy_from_slice(&huge.header().unwrap());
    let error = refusal(&bytes, &key);
    assert!(
        matches!(error, OpenError::Archive(ArchiveError::TooLarge { .. })),
        "{error}"
    );
}

#[test]
fn no_other_file_is_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        fs_err::write(&path, content).unwrap();
        path
    };
    for path in [
        file("empty", b""),
        file("text", b"hello"),
        file("zeros", &[0; 4096]),
    ] {
        let error = UntrustedBundle::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::NotABundle(_)), "{error}");
    }
    let error = UntrustedBundle::open(dir.path()).unwrap_err();
    assert_says(&error, "not a regular file");
    let error = UntrustedBundle::open(&dir.path().join("missing")).unwrap_err();
    assert!(
        matches!(error, OpenError::Archive(ArchiveError::Io(_))),
        "{error}"
    );
}

#[test]
fn a_layer_that_changes_after_opening_never_ends_well() {
    let key = key();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    let manifest = Fake::small().unwrap().write(&path, &key).unwrap();
    let bundle = UntrustedBundle::open(&path)
        .unwrap()
        .verify(&store(&key))
        .unwrap();
    let layer = manifest.images["app"].layers[0].digest;
    let mut bytes = fs_err::read(&path).unwrap();
    let entry = Parts::of(&bytes).entry(&lfctl::oci::archive::blob_name(&layer));
    bytes[usize::try_from(entry.data()).unwrap()] ^= 1;
    fs_err::write(&path, &bytes).unwrap();
    let mut out = Vec::new();
    let error =
        std::io::Read::read_to_end(&mut bundle.reader(&layer).unwrap(), &mut out).unwrap_err();
    assert!(error.to_string().contains(&layer.to_string()), "{error}");
    assert!((out.len() as u64) < manifest.images["app"].layers[0].size);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn no_bit_can_change_unnoticed(position: prop::sample::Index, bit in 0..8u8) {
        use std::sync::LazyLock;
        static GOOD: LazyLock<(TrustStore, Vec<u8>)> = LazyLock::new(|| {
            let key = key();
            (store(&key), Parts::small(&key).assemble())
        });
        let (trusted, good) = &*GOOD;
        let mut bytes = good.clone();
        bytes[position.index(good.len())] ^= 1 << bit;
        prop_assert!(verify(&bytes, trusted).is_err());
    }
}
