//! Bundles over several files: made, read where they lie, and every way in
//! which parts can be wrong, named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use rustix::process::Signal;

use crate::support::bundle::{noise, output, run};
use crate::support::schema;
use crate::support::terminal::Terminal;

mod full_disk;
mod wrong;

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
        let output = self.lfctl(arguments).output().unwrap();
        schema::check(arguments, &output.stdout);
        output
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
#[expect(clippy::too_many_lines, reason = "each name needs the same files")]
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
    terminal.wait_for("there is no directory `nowhere`");
    terminal.wait_for("Insert the medium with `a.tar.003`");
    // The stick is put in and mounted where lfctl looks already.
    fs::rename(desk.path("two/a.tar.003"), desk.part(3)).unwrap();
    terminal.type_in("\r");
    terminal.wait_for("every digest is right");
    assert!(terminal.end().success());
}
