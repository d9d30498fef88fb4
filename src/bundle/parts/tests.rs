use std::path::{Path, PathBuf};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::bundle::UntrustedBundle;
use crate::fake::bundle::Fake;
use crate::host::trust::TrustStore;
use crate::report::event::Silent;
use crate::sign::{SecretKey, Signature, generate};

fn list(size: u64, part_size: u64) -> PartList {
    let count = usize::try_from(size.div_ceil(part_size)).unwrap();
    PartList {
        format: FORMAT,
        name: "a.tar".to_owned(),
        index: Digest::of(b"index"),
        size,
        part_size,
        parts: (0..count).map(|at| Digest::of(&at.to_be_bytes())).collect(),
    }
}

fn parsed(list: &PartList) -> Result<PartList, PartError> {
    PartList::parse(Path::new("x"), &serde_json::to_vec(list).unwrap())
}

#[test]
fn only_lists_that_add_up_are_lists() {
    let good = list(1000, 300);
    assert_eq!(parsed(&good).unwrap(), good);
    assert_eq!(
        (good.part_bytes(0), good.part_bytes(3), good.part_bytes(9)),
        (300, 100, 0)
    );
    assert_eq!(good.part_name(9), "a.tar.010");
    let spoilt: [fn(&mut PartList); 12] = [
        |list| list.format = 0,
        |list| list.name = String::new(),
        |list| list.name = "a\u{1b}[2J.tar".to_owned(),
        |list| list.name = "a\u{202e}rat.exe".to_owned(),
        |list| list.name = "a".repeat(201),
        |list| list.name = "../a.tar".to_owned(),
        |list| list.name = ".hidden".to_owned(),
        |list| list.size = 0,
        |list| list.part_size = 0,
        |list| list.size = u64::MAX,
        |list| list.parts.truncate(3),
        |list| list.part_size = 299,
    ];
    for (at, spoil) in spoilt.into_iter().enumerate() {
        let mut list = list(1200, 300);
        spoil(&mut list);
        assert!(parsed(&list).is_err(), "case {at}");
    }
    assert!(parsed(&list(MOST + 1, 1)).is_err());
    assert!(PartList::parse(Path::new("x"), b"{}").is_err());
}

#[test]
fn a_list_of_a_later_format_says_so() {
    let mut later = serde_json::to_value(list(1000, 300)).unwrap();
    later["format"] = (FORMAT + 1).into();
    later["new"] = "field".into();
    let error = PartList::parse(Path::new("x"), later.to_string().as_bytes()).unwrap_err();
    assert!(
        matches!(error, PartError::NewerFormat { found, .. } if found == FORMAT + 1),
        "{error}"
    );
}

#[test]
fn every_name_of_a_split_bundle_leads_to_its_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("more")).unwrap();
    for name in [
        "a.tar.parts",
        "a.tar.001",
        "whole.tar",
        "b.tar.001",
        "more/c.tar.parts",
    ] {
        fs::write(path(name), "").unwrap();
    }
    let leads = |name: &str| list_of(&path(name), &[path("more")]);
    for name in ["a.tar.parts", "a.tar.001", "a.tar.999", "a.tar"] {
        assert_eq!(leads(name).unwrap(), Some(path("a.tar.parts")), "{name}");
    }
    for name in ["c.tar.parts", "c.tar.002", "c.tar"] {
        assert_eq!(
            leads(name).unwrap(),
            Some(path("more/c.tar.parts")),
            "{name}"
        );
    }
    for name in ["whole.tar", "none.tar", "a.tar.1", "a.tar.1000"] {
        assert_eq!(leads(name).unwrap(), None, "{name}");
    }
    for name in ["b.tar.001", "b.tar.007", "b.tar", "d.tar.parts"] {
        let error = leads(name).unwrap_err().to_string();
        assert!(error.contains("is missing; looked in"), "{name}: {error}");
        assert!(error.contains("more"), "{name}: {error}");
    }
}

/// A small bundle, and the key that signs it and its parts.
struct Made {
    dir: tempfile::TempDir,
    key: SecretKey,
    whole: Vec<u8>,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let new = generate(None).unwrap();
        let key = SecretKey::parse(new.secret.expose_secret(), None).unwrap();
        let path = dir.path().join("whole.tar");
        Fake::small().unwrap().write(&path, &key).unwrap();
        let whole = fs::read(path).unwrap();
        Self { dir, key, whole }
    }

    fn store(&self) -> TrustStore {
        TrustStore::of([self.key.public().clone()])
    }

    async fn split(&self, name: &str, part_size: u64) -> Result<PathBuf, PartError> {
        let bundle = UntrustedBundle::open(&self.dir.path().join("whole.tar")).unwrap();
        let bundle = bundle.verify(&self.store()).unwrap();
        let target = self.dir.path().join(name);
        split(
            &bundle,
            SplitOptions { target, part_size },
            &self.key,
            &Silent,
        )
        .await
    }

    fn names(&self, of: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(of))
            .collect();
        names.sort();
        names
    }

    /// What `cat NAME.[0-9][0-9][0-9]` gives.
    fn joined(&self, of: &str) -> Vec<u8> {
        let mut names = self.names(of);
        names.retain(|name| !name.contains("parts"));
        let read = |name: &String| fs::read(self.dir.path().join(name)).unwrap();
        names.iter().flat_map(read).collect()
    }
}

#[tokio::test]
async fn a_bundle_cut_anywhere_reads_the_same() {
    let made = Made::new();
    let size = made.whole.len() as u64;
    assert!(size / 100 < MOST, "{size}");
    // Inside headers, inside the index, at and around the end.
    for part_size in [
        100,
        511,
        512,
        513,
        777,
        1024,
        5000,
        size - 1,
        size,
        size + 1,
    ] {
        let name = format!("cut-{part_size}.tar");
        let list_path = made.split(&name, part_size).await.unwrap();
        assert!(made.joined(&name) == made.whole, "{part_size}");
        let (list, signature) = PartList::read(&list_path, Some(&made.store())).unwrap();
        let signature = signature.unwrap();
        assert_eq!(signature.key_id(), made.key.public().id());
        assert_eq!(list.parts.len() as u64, size.div_ceil(part_size));
        let mut parts = Parts::find(list, &list_path, &[]).unwrap();
        parts.check(Some(&made.store()), &Silent).unwrap();
        let bundle = UntrustedBundle::over(parts.archive().unwrap()).unwrap();
        let bundle = bundle.verify(&made.store()).unwrap();
        bundle.verify_blobs(&Silent).unwrap();
        parts.belong_to(&bundle, Some(&signature)).unwrap();
        let list = fs::read(&list_path).unwrap();
        let other = made.key.sign(&list, "name=other version=1.0.0").unwrap();
        let other = Signature::parse(&other).unwrap();
        let error = parts.belong_to(&bundle, Some(&other)).unwrap_err();
        assert!(matches!(error, PartError::Comment { .. }), "{error}");
    }
    let error = made.split("many.tar", 10).await.unwrap_err();
    assert!(matches!(error, PartError::TooMany(_)), "{error}");
    assert_eq!(made.names("many"), [""; 0]);
}

#[test]
fn what_no_list_could_hold_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let begun = |name: &str, size| {
        let target = dir.path().join(name);
        let options = SplitOptions {
            target,
            part_size: 100,
        };
        PartWriter::reopen(options, size).map(drop)
    };
    for name in [".a.tar", &"a".repeat(201), "a\n.tar"] {
        let error = begun(name, 1000).unwrap_err();
        assert!(matches!(error, PartError::Name(_)), "{error}");
    }
    let error = begun("a.tar", MOST * 100 + 1).unwrap_err();
    assert!(matches!(error, PartError::TooMany(501)), "{error}");
    begun("a.tar", MOST * 100).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_earlier_set_stays_until_the_new_one_is_complete() {
    let made = Made::new();
    made.split("a.tar", 2000).await.unwrap();
    let before = made.names("a.tar.");
    let target = made.dir.path().join("a.tar");
    let part_size = 5000;
    let options = SplitOptions { target, part_size };
    let writer = PartWriter::create(options, made.whole.len() as u64).unwrap();
    writer.set().reserve(made.whole.len() as u64).unwrap();
    assert!(made.names(".partial").len() > 2);
    drop(writer);
    assert_eq!(made.names("a.tar."), before);
    assert!(made.joined("a.tar.") == made.whole);

    // Fewer parts than before: none of the old ones stays behind them.
    made.split("a.tar", 5000).await.unwrap();
    assert_eq!(
        made.names("a.tar.").len(),
        made.whole.len().div_ceil(5000) + 2
    );
    assert!(made.joined("a.tar.") == made.whole);

    // What only has the name of a part is not one, with a list or without.
    let stranger = made.dir.path().join("a.tar.250");
    fs::write(&stranger, "a report").unwrap();
    made.split("a.tar", 5000).await.unwrap();
    assert_eq!(fs::read(&stranger).unwrap(), b"a report");
}

#[tokio::test]
async fn a_source_that_changed_since_it_was_opened_is_not_cut() {
    let made = Made::new();
    let path = made.dir.path().join("whole.tar");
    let bundle = UntrustedBundle::open(&path).unwrap();
    let bundle = bundle.verify(&made.store()).unwrap();
    let mut changed = made.whole.clone();
    let last = changed.len() - 2000;
    changed[last] ^= 1;
    fs::write(&path, changed).unwrap();
    let target = made.dir.path().join("a.tar");
    let options = SplitOptions {
        target,
        part_size: 5000,
    };
    let error = split(&bundle, options, &made.key, &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, PartError::Verify(_)), "{error}");
    assert_eq!(made.names("a.tar"), [""; 0]);
}

#[tokio::test]
async fn no_bit_of_a_list_can_change() {
    let made = Made::new();
    let list = made.split("a.tar", 5000).await.unwrap();
    let good = fs::read(&list).unwrap();
    PartList::read(&list, Some(&made.store())).unwrap();
    for bit in (0..good.len() * 8).step_by(7) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&list, &bytes).unwrap();
        let error = PartList::read(&list, Some(&made.store())).unwrap_err();
        assert!(
            matches!(error, PartError::Untrusted { .. }),
            "bit {bit}: {error}"
        );
    }
    fs::write(&list, vec![b' '; (1 << 20) + 1]).unwrap();
    let error = PartList::read(&list, None).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

proptest! {
    #[test]
    fn parts_cover_the_bundle(size in 1..5000_u64, part_size in 10..600_u64) {
        let list = list(size, part_size);
        prop_assert!(parsed(&list).is_ok());
        let sizes: Vec<_> = (0..list.parts.len()).map(|at| list.part_bytes(at)).collect();
        prop_assert_eq!(sizes.iter().sum::<u64>(), size);
        prop_assert!(sizes.iter().all(|size| *size > 0));
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,200}") {
        let _ = PartList::parse(Path::new("x"), text.as_bytes());
    }
}
