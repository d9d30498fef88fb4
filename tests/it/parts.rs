//! Bundles over several files: made, read where they lie, and every way in
//! which parts can be wrong, named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use rustix::process::Signal;

use crate::support::bundle::{noise, output, run};
use crate::support::terminal::Terminal;

mod room;

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
        desk.split("a.tar", SIZE, "parts");
        desk
    }

    fn split(&self, bundle: &str, size: &str, to: &str) {
        self.ok(&split(bundle, size, to));
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

    fn lfctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lfctl"));
        command.args(arguments).current_dir(self.dir.path());
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    fn command(&self, arguments: &[&str]) -> Output {
        self.lfctl(arguments).output().unwrap()
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

    /// Verifies, loads and installs `bundle`, each of which must fail with
    /// this code and these words and leave the host as it was.
    #[track_caller]
    fn refuses(&self, bundle: &str, code: i32, words: &[&str]) {
        let before = tree(&self.path("root"));
        for command in [
            &["bundle", "verify"][..],
            &["bundle", "load"],
            &["install", "--offline"],
        ] {
            // An engine that is not there: to ask it would be to go on.
            let engine = ["--root", "root", "--engine", "unix:///nowhere.sock"];
            let output = self.command(&[&engine, command, &[bundle]].concat());
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
            for word in words {
                assert!(text.contains(word), "{command:?}: no `{word}` in: {text}");
            }
        }
        assert_eq!(tree(&self.path("root")), before);
    }
}

/// Arguments that cut a bundle.
fn split<'a>(bundle: &'a str, size: &'a str, to: &'a str) -> Vec<&'a str> {
    vec![
        "--root",
        "root",
        "bundle",
        "split",
        bundle,
        "--size",
        size,
        "-o",
        to,
        "--key",
        "release.key",
    ]
}

/// Every file below a directory with its content.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
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
#[ignore = "needs minisign"]
fn parts_joined_are_the_bundle_and_the_list_is_signed_in_stock_form() {
    let desk = Desk::new();
    let whole = fs::read(desk.path("a.tar")).unwrap();
    let count = whole.len().div_ceil(PART);
    assert!(count >= 4);
    assert_eq!(names(&desk.path("parts")).len(), count + 2);
    let list: serde_json::Value =
        serde_json::from_slice(&fs::read(desk.path("parts/a.tar.parts")).unwrap()).unwrap();
    for at in 1..=count {
        let printed = run("sha256sum", &[desk.part(at).to_str().unwrap()]);
        let listed = list["parts"][at - 1].as_str().unwrap();
        let hex = listed.strip_prefix("sha256:").unwrap();
        assert!(printed.starts_with(hex), "{printed}");
    }
    let joined = desk.path("joined.tar");
    let join = format!("cat {}.[0-9][0-9][0-9]", desk.path("parts/a.tar").display());
    fs::write(&joined, run_bytes("sh", &["-c", &join])).unwrap();
    assert!(fs::read(&joined).unwrap() == whole);
    let (list, key) = (desk.path("parts/a.tar.parts"), desk.path("release.pub"));
    let printed = run(
        "minisign",
        &["-Vm", list.to_str().unwrap(), "-p", key.to_str().unwrap()],
    );
    assert!(
        printed.contains(&format!(
            "counter=1 created=2026-01-02T03:04:05Z parts={count}"
        )),
        "{printed}"
    );
}

fn run_bytes(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = output(program, arguments);
    assert!(output.status.success());
    output.stdout
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
        &["parts `a.tar.002`, `a.tar.003` are missing", "--parts-in"],
    );
    // The list may be elsewhere as well, and a part may name all.
    fs::create_dir(desk.path("lists")).unwrap();
    for name in ["a.tar.parts", "a.tar.parts.minisig"] {
        fs::rename(desk.path("parts").join(name), desk.path("lists").join(name)).unwrap();
    }
    let in_three = [
        "--parts-in",
        "one",
        "--parts-in",
        "two",
        "--parts-in",
        "lists",
    ];
    for name in ["parts/a.tar.001", "parts/a.tar", "a.tar.parts"] {
        let verify = ["--root", "root", "bundle", "verify", name];
        desk.ok(&[&verify[..], &in_three, &["--parts-in", "parts"]].concat());
    }
    desk.refuses(
        "parts/a.tar.004",
        74,
        &["list `a.tar.parts` is missing", "`parts`", "--parts-in"],
    );
    // Cut again, from parts in several places, it is the same bundle.
    let again = split("parts/a.tar.004", "100K", "again");
    desk.ok(&[&again[..], &in_three].concat());
    let joined: Vec<u8> = names(&desk.path("again"))
        .iter()
        .filter(|name| !name.contains("parts"))
        .flat_map(|name| fs::read(desk.path("again").join(name)).unwrap())
        .collect();
    assert!(joined == fs::read(desk.path("a.tar")).unwrap());
}

#[test]
fn a_set_of_parts_that_lies_here_need_not_be_named() {
    let desk = Desk::new();
    let mut verify = desk.lfctl(&["--root", "../root", "bundle", "verify"]);
    let output = verify.current_dir(desk.path("parts")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("a.tar.parts"));
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

    // The last is shorter than the others, and still not just cut off.
    let count = names(&desk.path("parts")).len() - 2;
    fs::copy(desk.part(count), desk.part(2)).unwrap();
    let shorter = format!("belongs into `a.tar.{count:03}`");
    desk.refuses(list, 4, &["a.tar.002", &shorter]);
    fs::write(desk.part(2), [&good[..], b"more"].concat()).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "it is another file"]);
    fs::remove_file(desk.part(2)).unwrap();
    fs::create_dir(desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "not a regular file"]);
    fs::remove_dir(desk.part(2)).unwrap();
    fs::write(desk.part(2), &good).unwrap();

    // A part of another bundle made with the same key.
    desk.bundle("b.tar", 2);
    desk.split("b.tar", SIZE, "other");
    fs::copy(desk.path("other/b.tar.002"), desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "damaged, or of another bundle"]);
    // Where the list of that bundle is at hand, it says which.
    for name in ["b.tar.parts", "b.tar.parts.minisig"] {
        fs::copy(desk.path("other").join(name), desk.path("parts").join(name)).unwrap();
    }
    let words = ["a.tar.002", "`b.tar.002` of another bundle", "b.tar.parts"];
    desk.refuses(list, 4, &words);
    fs::write(desk.part(2), &good).unwrap();
    desk.ok(&["--root", "root", "bundle", "verify", list]);
}

#[test]
fn all_wrong_parts_are_named_at_once() {
    let list = "parts/a.tar.parts";
    let desk = Desk::new();
    flip(&desk.part(3), 0);
    let (one, two) = (
        fs::read(desk.part(1)).unwrap(),
        fs::read(desk.part(2)).unwrap(),
    );
    fs::write(desk.part(1), two).unwrap();
    fs::write(desk.part(2), one).unwrap();
    let words = [
        "3 parts are missing or damaged",
        "`parts/a.tar.001` holds what belongs into `a.tar.002`",
        "`parts/a.tar.002` holds what belongs into `a.tar.001`",
        "`parts/a.tar.003` has other content",
    ];
    desk.refuses(list, 4, &words);
    for number in [2, 4] {
        fs::remove_file(desk.part(number)).unwrap();
    }
    let missing = "parts `a.tar.002`, `a.tar.004` are missing; looked in `parts`";
    desk.refuses(list, 74, &[missing]);
    fs::write(desk.part(1), "short").unwrap();
    desk.refuses(list, 4, &[missing, "a.tar.001` has 5 bytes"]);
}

#[test]
fn a_right_copy_stands_in_for_a_wrong_one() {
    let desk = Desk::new();
    fs::create_dir(desk.path("more")).unwrap();
    fs::copy(desk.part(2), desk.path("more/a.tar.002")).unwrap();
    flip(&desk.part(2), 9);
    let verify = [
        "--root",
        "root",
        "bundle",
        "verify",
        "parts/a.tar.parts",
        "--parts-in",
        "more",
    ];
    let output = desk.command(&verify);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("`parts/a.tar.002` is wrong, `more/a.tar.002` is right"),
        "{text}"
    );
    // Two wrong ones are no right one.
    flip(&desk.path("more/a.tar.002"), 9);
    assert_eq!(desk.command(&verify).status.code(), Some(4));
}

#[test]
fn looking_inside_reads_no_more_than_it_shows() {
    let desk = Desk::new();
    let inspect = ["--root", "root", "bundle", "inspect", "parts/a.tar"];
    // Part 4 holds nothing but a layer.
    flip(&desk.part(4), 5);
    desk.ok(&inspect);
    // Part 1 holds the head: the part is named, not what it broke.
    flip(&desk.part(1), 5000);
    let output = desk.command(&inspect);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("`parts/a.tar.001` has other content"),
        "{text}"
    );
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
    desk.refuses(
        "parts/a.tar.parts",
        4,
        &["not signed", "a.tar.parts.minisig"],
    );

    // A list that a trusted key signed for other parts of the same sizes.
    desk.bundle("b.tar", 2);
    desk.split("b.tar", SIZE, "other");
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
fn an_interrupt_leaves_nothing_behind() {
    let desk = Desk::new();
    let text = fs::read_to_string(desk.path("release.key")).unwrap();
    let key = lfctl::sign::SecretKey::parse(&text, None).unwrap();
    let layer = FakeLayer::plain(&[("zeros", &vec![0; 128 << 20])]);
    let image = FakeImage::new(vec![layer]);
    let reference = "docker.io/rehearsal/app:1.0.0";
    let large = Fake::small().unwrap().image("app", reference, image);
    large.write(&desk.path("large.tar"), &key).unwrap();
    let before = names(desk.dir.path());

    let mut cut = desk.lfctl(&split("large.tar", "1M", "."));
    let mut child = cut.stderr(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
    let begun = Instant::now();
    while !desk.path(".large.tar.002.partial").exists() {
        assert!(begun.elapsed().as_secs() < 60, "it never began");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(12));
    assert_eq!(names(desk.dir.path()), before);
}

/// As many files as a process may have open by default.
#[test]
fn the_most_parts_fit_into_the_files_a_process_may_open() {
    let desk = Desk::new();
    let text = fs::read_to_string(desk.path("release.key")).unwrap();
    let key = lfctl::sign::SecretKey::parse(&text, None).unwrap();
    let layer = FakeLayer::plain(&[("zeros", &vec![0; (499 << 16) - 10_000])]);
    let image = FakeImage::new(vec![layer]);
    let reference = "docker.io/rehearsal/app:1.0.0";
    let large = Fake::small().unwrap().image("app", reference, image);
    large.write(&desk.path("large.tar"), &key).unwrap();
    let size = fs::metadata(desk.path("large.tar")).unwrap().len();
    assert_eq!(size.div_ceil(PART as u64), 500, "{size}");
    for arguments in [
        split("large.tar", SIZE, "most"),
        vec!["--root", "root", "bundle", "verify", "most/large.tar.parts"],
    ] {
        let lfctl = desk.lfctl(&arguments);
        let mut limited = Command::new("prlimit");
        limited.arg("--nofile=1024:1024").arg(lfctl.get_program());
        limited.args(lfctl.get_args()).current_dir(desk.dir.path());
        let output = limited.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// What a person sees who forgot a stick.
#[test]
fn on_a_terminal_it_asks_for_the_next_medium() {
    let desk = Desk::new();
    fs::create_dir(desk.path("one")).unwrap();
    fs::create_dir(desk.path("two")).unwrap();
    fs::rename(desk.part(2), desk.path("one/a.tar.002")).unwrap();
    fs::rename(desk.part(3), desk.path("two/a.tar.003")).unwrap();
    let verify = "--root root bundle verify parts/a.tar.parts";
    let mut terminal = Terminal::with(verify, desk.dir.path());
    terminal.wait_for("Insert the medium with `a.tar.002` (1 more are missing)");
    terminal.type_in("one\r");
    terminal.wait_for("Insert the medium with `a.tar.003`");
    terminal.type_in("nowhere\r");
    terminal.wait_for("no such directory");
    // The stick is put in and mounted where lfctl looks already.
    fs::rename(desk.path("two/a.tar.003"), desk.part(3)).unwrap();
    terminal.type_in(&"\u{8}".repeat(7));
    terminal.type_in("\r");
    terminal.wait_for("every digest is right");
    assert!(terminal.end().success());
}
