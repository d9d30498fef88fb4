//! Bundles over several files: made, read where they lie, and every way in
//! which parts can be wrong, named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use lfctl::bundle::fake::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;

use crate::support::bundle::{noise, output, run};

const SIZE: &str = "64K";
const PART: usize = 64 << 10;

/// A desk with a key, a whole bundle and its parts in `parts/`.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        desk.ok(&["key", "generate", "--no-password", "-o", "release"]);
        desk.ok(&["--root", "root", "trust", "add", "release.pub", "--yes"]);
        desk.bundle("a.tar", 1);
        desk.ok(&[
            "--root",
            "root",
            "bundle",
            "split",
            "a.tar",
            "--size",
            SIZE,
            "-o",
            "parts",
            "--key",
            "release.key",
        ]);
        desk
    }

    fn bundle(&self, name: &str, seed: u32) {
        let text = fs::read_to_string(self.path("release.key")).unwrap();
        let key = lfctl::sign::SecretKey::parse(&text, None).unwrap();
        let layer = FakeLayer::plain(&[("noise", &noise(seed, 300_000))]);
        Fake::small()
            .unwrap()
            .image(
                "app",
                "docker.io/rehearsal/app:1.0.0",
                FakeImage::new(vec![layer]),
            )
            .write(&self.path(name), &key)
            .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn part(&self, number: usize) -> PathBuf {
        self.path(&format!("parts/a.tar.{number:03}"))
    }

    fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lfctl"))
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Verifies `bundle`, which must fail with this code and these words.
    #[track_caller]
    fn refuses(&self, bundle: &str, code: i32, words: &[&str]) {
        let output = self.command(&["--root", "root", "bundle", "verify", bundle]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn parts_joined_are_the_bundle_and_the_list_is_signed_in_stock_form() {
    let desk = Desk::new();
    let whole = fs::read(desk.path("a.tar")).unwrap();
    let count = whole.len().div_ceil(PART);
    assert!(count >= 4);
    let joined: Vec<u8> = (1..=count)
        .flat_map(|at| fs::read(desk.part(at)).unwrap())
        .collect();
    assert!(joined == whole);
    assert_eq!(names(&desk.path("parts")).len(), count + 2);
    let list: serde_json::Value =
        serde_json::from_slice(&fs::read(desk.path("parts/a.tar.parts")).unwrap()).unwrap();
    let first = Digest::of(&fs::read(desk.part(1)).unwrap());
    assert_eq!(list["parts"][0], first.to_string());
    let (list, key) = (desk.path("parts/a.tar.parts"), desk.path("release.pub"));
    run(
        "minisign",
        &["-Vm", list.to_str().unwrap(), "-p", key.to_str().unwrap()],
    );
}

#[test]
fn parts_are_read_where_they_lie_under_any_of_their_names() {
    let desk = Desk::new();
    let verify = |bundle: &str| desk.ok(&["--root", "root", "bundle", "verify", bundle, "--json"]);
    let whole: serde_json::Value = serde_json::from_str(&verify("a.tar")).unwrap();
    for name in [
        "parts/a.tar.parts",
        "parts/a.tar.001",
        "parts/a.tar.003",
        "parts/a.tar",
    ] {
        let receipt: serde_json::Value = serde_json::from_str(&verify(name)).unwrap();
        assert_eq!(receipt["index"], whole["index"], "{name}");
        assert_eq!(receipt["size"], whole["size"], "{name}");
    }
    for dir in ["one", "two"] {
        fs::create_dir(desk.path(dir)).unwrap();
    }
    fs::rename(desk.part(2), desk.path("one/a.tar.002")).unwrap();
    fs::rename(desk.part(3), desk.path("two/a.tar.003")).unwrap();
    desk.ok(&[
        "--root",
        "root",
        "bundle",
        "verify",
        "parts/a.tar.parts",
        "--parts-in",
        "one",
        "--parts-in",
        "two",
    ]);
    desk.refuses(
        "parts/a.tar.parts",
        74,
        &["`a.tar.002` is missing", "--parts-in"],
    );
    // Cut again, from parts in three places, it is the same bundle.
    desk.ok(&[
        "--root",
        "root",
        "bundle",
        "split",
        "parts/a.tar",
        "--parts-in",
        "one",
        "--parts-in",
        "two",
        "--size",
        "100K",
        "-o",
        "again",
        "--key",
        "release.key",
    ]);
    let joined: Vec<u8> = names(&desk.path("again"))
        .iter()
        .filter(|name| !name.contains("parts"))
        .flat_map(|name| fs::read(desk.path("again").join(name)).unwrap())
        .collect();
    assert!(joined == fs::read(desk.path("a.tar")).unwrap());
}

#[test]
fn each_wrong_part_is_named() {
    let list = "parts/a.tar.parts";
    let desk = Desk::new();
    let good = fs::read(desk.part(2)).unwrap();

    flip(&desk.part(2), 777);
    desk.refuses(list, 4, &["a.tar.002", "other content"]);
    fs::write(desk.part(2), &good[..good.len() - 1]).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "the copy is not whole"]);
    fs::copy(desk.part(3), desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "belongs into `a.tar.003`"]);
    fs::remove_file(desk.part(2)).unwrap();
    desk.refuses(list, 74, &["part `a.tar.002` is missing", "parts"]);
    fs::write(desk.part(2), &good).unwrap();

    // A part of another bundle made with the same key.
    desk.bundle("b.tar", 2);
    desk.ok(&[
        "--root",
        "root",
        "bundle",
        "split",
        "b.tar",
        "--size",
        SIZE,
        "-o",
        "other",
        "--key",
        "release.key",
    ]);
    fs::copy(desk.path("other/b.tar.002"), desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "other content"]);
    fs::write(desk.part(2), &good).unwrap();
    desk.ok(&["--root", "root", "bundle", "verify", list]);
}

#[test]
fn a_list_counts_only_as_it_was_signed() {
    let desk = Desk::new();
    let (list, signature) = (
        desk.path("parts/a.tar.parts"),
        desk.path("parts/a.tar.parts.minisig"),
    );
    let good = fs::read(&list).unwrap();
    for at in (0..good.len()).step_by(37) {
        flip(&list, at);
        desk.refuses("parts/a.tar.parts", 4, &["part list", "not to be trusted"]);
        fs::write(&list, &good).unwrap();
    }
    flip(&signature, 60);
    desk.refuses("parts/a.tar.parts", 4, &["not to be trusted"]);
    fs::remove_file(&signature).unwrap();
    desk.refuses("parts/a.tar.parts", 74, &["a.tar.parts.minisig"]);

    // A list that a trusted key signed for other parts of the same sizes.
    desk.bundle("b.tar", 2);
    desk.ok(&[
        "--root",
        "root",
        "bundle",
        "split",
        "b.tar",
        "--size",
        SIZE,
        "-o",
        "other",
        "--key",
        "release.key",
    ]);
    fs::copy(
        desk.path("other/b.tar.parts"),
        desk.path("parts/b.tar.parts"),
    )
    .unwrap();
    fs::copy(
        desk.path("other/b.tar.parts.minisig"),
        desk.path("parts/b.tar.parts.minisig"),
    )
    .unwrap();
    for name in names(&desk.path("parts"))
        .iter()
        .filter(|name| name.starts_with("a.tar.0"))
    {
        fs::copy(
            desk.path("parts").join(name),
            desk.path("parts").join(name.replacen('a', "b", 1)),
        )
        .unwrap();
    }
    desk.refuses("parts/b.tar.parts", 4, &["b.tar.00", "other content"]);
}

#[test]
fn an_install_from_wrong_parts_changes_nothing() {
    let desk = Desk::new();
    flip(&desk.part(4), 5);
    let before = names(&desk.path("root"));
    let install = [
        "--root",
        "root",
        "install",
        "--offline",
        "parts/a.tar.parts",
    ];
    let refused = desk.command(&install);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a.tar.004"));
    assert_eq!(names(&desk.path("root")), before);
}

/// A filesystem of 512 KiB. Goes with its value.
struct Small(PathBuf);

impl Small {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=256k",
                "tmpfs",
                path.to_str().unwrap(),
            ],
        );
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        output("umount", &[self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_full_disk_leaves_nothing_that_looks_finished() {
    let desk = Desk::new();
    let small = Small::at(desk.path("small"));
    let split = [
        "--root",
        "root",
        "bundle",
        "split",
        "a.tar",
        "--size",
        SIZE,
        "-o",
        "small",
        "--key",
        "release.key",
    ];
    let refused = desk.command(&split);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(74), "{text}");
    assert!(text.contains("No space left"), "{text}");
    assert_eq!(names(&small.0), [""; 0]);
}
