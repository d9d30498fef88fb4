//! Passwords of secret keys: by a file descriptor or at a terminal, and shown
//! nowhere.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::sign::SecretKey;
use secrecy::SecretString;

use crate::support::bundle::{noise, output};
use crate::support::terminal::Terminal;

/// Nothing else that a run prints or writes looks like it.
pub(crate) const PASSWORD: &str = "Zeisig7quartz";
const SPLIT: &str =
    "bundle split a.tar --size 64K -o parts --key release.key --trusted-key release.pub";

/// Runs a command with a pipe as descriptor 3, in which `text` is, and without
/// a terminal.
pub(crate) fn with_descriptor(command: &Command, text: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(
        command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    let mut child = shell
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who is refused before may have closed it.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

/// A directory with a protected key, and a bundle that it trusts.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The same with a key and a bundle.
    fn with_key() -> Self {
        let desk = Self::new();
        desk.ok("key generate -o release --password-fd 3");
        let layer = FakeLayer::plain(&[("noise", &noise(1, 100_000))]);
        let reference = "docker.io/rehearsal/app:1.0.0";
        Fake::small()
            .unwrap()
            .image("app", reference, FakeImage::new(vec![layer]))
            .write(&desk.path("a.tar"), &desk.key(PASSWORD))
            .unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key(&self, password: &str) -> SecretKey {
        let text = fs::read_to_string(self.path("release.key")).unwrap();
        SecretKey::parse(&text, Some(&SecretString::from(password))).unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lfctl"));
        command.args(arguments.split(' ')).args(["--root", "root"]);
        command.env("NO_COLOR", "1").current_dir(self.0.path());
        command
    }

    /// Runs lfctl, which must succeed with the password in descriptor 3 and
    /// not show it.
    #[track_caller]
    fn ok(&self, arguments: &str) -> String {
        let output = with_descriptor(&self.command(arguments), &format!("{PASSWORD}\n"));
        let text = both(&output);
        assert!(output.status.success(), "{arguments}: {text}");
        assert!(!text.contains(PASSWORD), "{arguments}: {text}");
        text
    }

    /// Runs lfctl with `text` in descriptor 3; it must fail in this way and
    /// leave no file.
    #[track_caller]
    fn refuses(&self, arguments: &str, text: &str, code: i32, words: &[&str]) {
        let before = names(self.0.path());
        let output = with_descriptor(&self.command(arguments), text);
        let said = both(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments}: no `{word}` in: {said}");
        }
        let shown = text.trim();
        assert!(shown.is_empty() || !said.contains(shown), "{said}");
        assert_eq!(names(self.0.path()), before, "{arguments}");
    }
}

fn both(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn a_key_is_made_shown_and_used_by_a_descriptor() {
    let desk = Desk::with_key();
    let text = fs::read_to_string(desk.path("release.key")).unwrap();
    assert!(SecretKey::is_protected(&text));
    let id = desk.key(PASSWORD).public().id().to_string();
    assert!(
        desk.ok("key show release.key --password-fd 3")
            .contains(&id)
    );
    desk.ok(&format!("{SPLIT} --password-fd 3"));
    desk.ok("bundle verify parts/a.tar.parts --trusted-key release.pub");
}

/// Makes a key with the password in a pipe that stays open, and does
/// something while the password is waited for.
fn generate_meanwhile(desk: &Desk, meanwhile: impl FnOnce()) -> Output {
    let mut child = desk
        .command("key generate -o new --password-fd 0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    meanwhile();
    pipe.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it waits for the end of the pipe"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(pipe);
    child.wait_with_output().unwrap()
}

#[test]
fn a_password_ends_with_its_line_though_the_pipe_stays_open() {
    let desk = Desk::new();
    let made = generate_meanwhile(&desk, || ());
    assert!(made.status.success(), "{}", both(&made));
    let text = fs::read_to_string(desk.path("new.key")).unwrap();
    SecretKey::parse(&text, Some(&SecretString::from(PASSWORD))).unwrap();
}

#[test]
fn a_key_that_was_made_meanwhile_stays() {
    for taken in ["new.key", "new.pub"] {
        let desk = Desk::new();
        let other = desk.path(taken);
        let made = generate_meanwhile(&desk, || fs::write(&other, "another key").unwrap());
        let text = both(&made);
        assert_eq!(made.status.code(), Some(2), "{text}");
        assert!(text.contains("never overwritten"), "{text}");
        assert_eq!(fs::read_to_string(&other).unwrap(), "another key");
        assert_eq!(names(desk.0.path()), [other], "half a pair was left");
    }
}

#[test]
fn a_password_ends_with_its_line() {
    let desk = Desk::with_key();
    for text in [PASSWORD.to_owned(), format!("{PASSWORD}\r\nmore\n")] {
        let show = desk.command("key show release.key --password-fd 3");
        let output = with_descriptor(&show, &text);
        assert!(output.status.success(), "{}", both(&output));
    }
}

#[test]
fn a_wrong_password_signs_nothing() {
    let desk = Desk::with_key();
    let split = format!("{SPLIT} --password-fd 3");
    let words = ["password does not open the secret key"];
    desk.refuses(&split, "Zeisig7quarz\n", 4, &words);
    desk.refuses("key show release.key --password-fd 3", "Spatz\n", 4, &words);
}

#[test]
fn without_a_password_or_a_terminal_it_says_what_to_do() {
    let desk = Desk::with_key();
    let words = ["there is no terminal", "--password-fd"];
    desk.refuses(SPLIT, "", 2, &words);
    desk.refuses("key generate -o other", "", 2, &words);
    let none = ["file descriptor 3 holds no password"];
    for text in ["", "\n", "\nZeisig7quartz\n"] {
        desk.refuses("key generate -o other --password-fd 3", text, 2, &none);
    }
    let closed = "key generate -o other --password-fd 77";
    desk.refuses(closed, "", 74, &["/proc/self/fd/77"]);
    let both = "key generate -o other --no-password --password-fd 3";
    desk.refuses(both, "x\n", 2, &["--no-password"]);
}

#[test]
fn on_a_terminal_it_asks_and_shows_no_letter() {
    let desk = Desk::new();
    let mut terminal = Terminal::with("key generate -o release", desk.0.path());
    let typed = format!("{PASSWORD}\r");
    terminal.wait_for("Password for the new secret key");
    terminal.wait_until_hidden();
    terminal.type_in(&typed);
    terminal.wait_for("The same again");
    terminal.wait_until_hidden();
    terminal.type_in("Spatz\r");
    terminal.wait_for("the two differ");
    terminal.wait_for("Password for the new secret key");
    terminal.wait_until_hidden();
    terminal.type_in(&typed);
    terminal.wait_for("The same again");
    terminal.wait_until_hidden();
    terminal.type_in(&typed);
    terminal.wait_for("to read aloud");
    assert!(terminal.end().success(), "{}", terminal.all);
    let seen = &terminal.all;
    assert!(
        !seen.contains(PASSWORD) && !seen.contains("Spatz"),
        "{seen}"
    );
    let id = desk.key(PASSWORD).public().id().to_string();
    assert!(seen.contains(&id), "{seen}");

    let mut terminal = Terminal::with("key show release.key", desk.0.path());
    terminal.wait_for("Password of the secret key");
    terminal.wait_until_hidden();
    terminal.type_in(&typed);
    terminal.wait_for("fingerprint");
    assert!(terminal.end().success(), "{}", terminal.all);
    assert!(!terminal.all.contains(PASSWORD), "{}", terminal.all);

    let mut terminal = Terminal::with("key show release.key", desk.0.path());
    terminal.wait_for("Password of the secret key");
    terminal.wait_until_hidden();
    terminal.type_in("Spatz\r");
    terminal.wait_for("password does not open the secret key");
    assert_eq!(terminal.end().code(), Some(4));
}

/// Every program that is started with its arguments and its environment, and
/// every byte that is written or sent.
#[test]
#[ignore = "needs strace"]
fn no_call_carries_the_password_out() {
    let desk = Desk::with_key();
    let split = desk.command(&format!("{SPLIT} --password-fd 3 --json"));
    let log = desk.path("strace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-v", "-s", "99999", "-e"]);
    traced.args([
        "trace=execve,write,writev,pwrite64,sendto,sendmsg,read",
        "-o",
    ]);
    traced
        .arg(&log)
        .arg(split.get_program())
        .args(split.get_args());
    let output = with_descriptor(traced.current_dir(desk.0.path()), &format!("{PASSWORD}\n"));
    assert!(output.status.success(), "{}", both(&output));
    let log = fs::read_to_string(log).unwrap();
    let with: Vec<_> = log.lines().filter(|line| line.contains(PASSWORD)).collect();
    assert!(log.contains("execve(") && log.contains("write("));
    assert_eq!(with, [""; 0]);
    // It comes in byte by byte: what is behind its line is not ours.
    let byte = |line: &str| {
        let (_, read) = line.split_once("read(")?.1.split_once(", \"")?;
        let (byte, rest) = read.split_once("\", 1)")?;
        rest.ends_with("= 1").then(|| byte.to_owned())
    };
    let read: String = log.lines().filter_map(byte).collect();
    assert!(read.contains(PASSWORD), "{read}");
    let held = files_with_it(desk.0.path());
    assert_eq!(held, "");
}

/// Files below a directory that hold the password.
fn files_with_it(dir: &Path) -> String {
    let found = output("grep", &["-rl", PASSWORD, dir.to_str().unwrap()]);
    let found = String::from_utf8(found.stdout).unwrap();
    found.replace(&format!("{}/", dir.display()), "")
}
