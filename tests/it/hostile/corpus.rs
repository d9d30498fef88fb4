//! The corpus of hostile bundles in `tests/hostile`: files as somebody might
//! hand them over, refused by the program one by one.
//!
//! The files are checked in, so that they stay what they were. Here is what
//! each is for, how it was made, and the test that writes them again.

use lfctl::engine::Images;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use fs_err as fs;
use lfctl::engine::LoadRoute;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::sign::{SecretKey, generate};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::bundle::Parts;
use crate::support::engine::{Rig, docker};

mod ends;
mod forge;
mod signed;
mod tar;
mod trust;

/// What every image of the corpus carries, so that one can be found in an
/// engine whatever else was changed.
const LABEL: &str = "io.lfctl.corpus";
/// The keys, and what hosts in the tests make of each.
const KEYS: [&str; 3] = ["release", "unknown", "revoked"];

/// One file.
struct Case {
    name: &'static str,
    /// What is wrong with it.
    wrong: &'static str,
    /// Words of the refusal.
    says: &'static str,
    /// Exit code of the refusal.
    code: i32,
    /// Every byte is as it was signed: only loading finds out.
    verifies: bool,
    bytes: Vec<u8>,
}

impl Case {
    fn new(name: &'static str, wrong: &'static str, says: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            name,
            wrong,
            says,
            code: 4,
            verifies: false,
            bytes,
        }
    }

    fn of(name: &'static str, wrong: &'static str, says: &'static str, parts: &Parts) -> Self {
        Self::new(name, wrong, says, parts.assemble())
    }

    fn only_loading(mut self) -> Self {
        self.verifies = true;
        self
    }

    fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    fn file(&self) -> String {
        format!("{}.tar", self.name)
    }
}

/// The keys that sign them.
struct Keys {
    release: SecretKey,
    unknown: SecretKey,
    revoked: SecretKey,
}

impl Keys {
    fn read() -> Self {
        let [release, unknown, revoked] = KEYS.map(|name| {
            let text = fs::read_to_string(dir().join(format!("{name}.key"))).unwrap();
            SecretKey::parse(&text, None).unwrap()
        });
        Self {
            release,
            unknown,
            revoked,
        }
    }
}

/// Name of a file of the corpus: packed, all of them have a few KiB.
fn packed(name: &str) -> String {
    format!("{name}.tar.gz")
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

/// A bundle as small as they come: one image under two keys.
fn bundle(key: &SecretKey, layer: FakeLayer) -> Parts {
    let settings = json!({"Labels": {LABEL: "1"}});
    let image = FakeImage::with_config(vec![layer], &settings);
    let mut fake = Fake::small().unwrap();
    fake.images.clear();
    fake.stack.schemas.clear();
    fake.stack.volumes.clear();
    for service in &mut fake.stack.services {
        service.mounts.clear();
    }
    for key in ["app", "gateway"] {
        fake = fake.image(key, "corpus.test/app:1", image.clone());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    fake.write(&path, key).unwrap();
    Parts::of(&fs::read(path).unwrap())
}

fn good(key: &SecretKey) -> Parts {
    bundle(key, FakeLayer::files(&[("bin/app", b"app")]))
}

fn cases(keys: &Keys) -> Vec<Case> {
    let good = good(&keys.release);
    let mut cases = tar::entries(&good);
    cases.extend(tar::headers(&good));
    cases.extend(ends::ends(&good));
    cases.extend(trust::signatures(&good, keys));
    cases.extend(trust::flips(&good));
    cases.extend(signed::documents(&good, &keys.release));
    cases.extend(signed::digests(&good, &keys.release));
    cases.extend(signed::layers(&keys.release));
    cases
}

fn readme(cases: &[Case]) -> String {
    let mut text = include_str!("corpus/readme.md").to_owned();
    for case in cases {
        let when = if case.verifies { ", on loading" } else { "" };
        writeln!(
            text,
            "| `{}` | {} | {}{when} | {} |",
            packed(case.name),
            case.wrong,
            case.says,
            case.code
        )
        .unwrap();
    }
    text
}

/// Name and path of each file that is checked in, by the name that it has
/// once it is unpacked.
fn stored() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(dir()).unwrap();
    files
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".gz")?.to_owned();
            Some((name, path))
        })
        .collect()
}

/// A host that trusts `release`, and `revoked` no longer, and that has every
/// file of the corpus.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for (name, path) in stored() {
            let mut file = fs::File::create(host.0.path().join(name)).unwrap();
            let packed = fs::File::open(path).unwrap();
            io::copy(&mut GzDecoder::new(packed), &mut file).unwrap();
        }
        for key in ["release", "revoked"] {
            let file = dir().join(format!("{key}.pub"));
            host.ok(&["trust", "add", file.to_str().unwrap(), "--yes"]);
        }
        let revoked = Keys::read().revoked.public().id().to_string();
        host.ok(&["trust", "revoke", &revoked, "--yes"]);
        host
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lfctl"))
            .args(arguments)
            .arg("--root")
            .arg(self.root())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }

    /// Runs a command that must fail, and returns what is wrong with how it
    /// does.
    fn refuses(&self, case: &Case, arguments: &[&str]) -> Option<String> {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        let right = output.status.code() == Some(case.code) && text.contains(case.says);
        (!right).then(|| {
            let (code, says) = (output.status, case.says);
            format!(
                "{arguments:?}: {code}, wanted {} and `{says}`:\n{text}",
                case.code
            )
        })
    }
}

#[test]
fn every_file_is_refused_for_what_is_wrong_with_it() {
    let host = Host::new();
    let public = dir().join("release.pub");
    let alone = ["--trusted-key", public.to_str().unwrap()];
    host.ok(&["bundle", "verify", "good.tar"]);
    host.ok(&[&["bundle", "verify", "good.tar"], &alone[..]].concat());
    let mut wrong = Vec::new();
    for case in cases(&Keys::read()) {
        let file = case.file();
        let verify = ["bundle", "verify", &file];
        if case.verifies {
            host.ok(&verify);
            continue;
        }
        wrong.extend(host.refuses(&case, &verify));
        // To the holder of the one key, every other is unknown.
        if case.name != "key-revoked" {
            wrong.extend(host.refuses(&case, &[&verify[..], &alone].concat()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn no_file_gets_an_image_into_the_engine() {
    let rig = Rig::new().await;
    for name in forge::references(&good(&Keys::read().release)) {
        rig.forget_reference(&name);
    }
    let socket = format!("unix://{}", rig.facts.socket);
    let host = Host::new();
    let in_engine = || {
        let label = format!("label={LABEL}");
        docker(&["images", "--all", "--quiet", "--filter", &label])
    };
    // Each attempt takes the lock and is a line of the audit log.
    let kept = || {
        let mut all = tree(&host.root());
        all.retain(|file| !file.contains("_host"));
        all
    };
    let before = kept();
    let mut wrong = Vec::new();
    let inflates = matches!(LoadRoute::of(&rig.facts), LoadRoute::Inflated { .. });
    for case in cases(&Keys::read()) {
        if case.verifies && !inflates {
            // Such an engine inflates itself, and takes what was signed.
            continue;
        }
        let file = case.file();
        let load = ["bundle", "load", &file, "--engine", &socket];
        wrong.extend(host.refuses(&case, &load));
        assert_eq!(in_engine(), "", "{file}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(kept(), before);
    // So that an empty engine means something.
    host.ok(&["bundle", "load", "good.tar", "--engine", &socket]);
    assert_ne!(in_engine(), "");
    let own = rig.engine.images("lfctl.local/*").await.unwrap();
    assert!(
        own.iter()
            .any(|image| in_engine().contains(&image.id[7..19]))
    );
}

/// Everything below a directory.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.push(format!(
                "{}: {:?}",
                path.display(),
                fs::read(&path).unwrap()
            ));
        }
    }
    found.sort();
    found
}

#[test]
fn the_list_names_every_file_and_no_other() {
    let cases = cases(&Keys::read());
    assert_eq!(
        fs::read_to_string(dir().join("README.md")).unwrap(),
        readme(&cases)
    );
    let mut listed: Vec<_> = cases.iter().map(Case::file).collect();
    listed.push("good.tar".to_owned());
    listed.sort();
    let there = stored();
    assert_eq!(there.keys().cloned().collect::<Vec<_>>(), listed);
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    assert!(there.values().map(size).sum::<u64>() < 1 << 20);
}

#[test]
#[ignore = "writes tests/hostile again"]
fn write_the_corpus() {
    fs::create_dir_all(dir()).unwrap();
    for name in KEYS {
        let secret = dir().join(format!("{name}.key"));
        if !secret.exists() {
            let new = generate(None).unwrap();
            fs::write(secret, new.secret.expose_secret()).unwrap();
            fs::write(dir().join(format!("{name}.pub")), new.public.to_text()).unwrap();
        }
    }
    let keys = Keys::read();
    let cases = cases(&keys);
    for path in stored().into_values() {
        fs::remove_file(path).unwrap();
    }
    let pack = |name: &str, bytes: &[u8]| {
        let file = fs::File::create(dir().join(packed(name))).unwrap();
        let mut gzip = GzEncoder::new(file, Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap();
    };
    pack("good", &good(&keys.release).assemble());
    for case in &cases {
        pack(case.name, &case.bytes);
    }
    fs::write(dir().join("README.md"), readme(&cases)).unwrap();
}
