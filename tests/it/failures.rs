//! What lfctl says when it cannot do what was asked, word for word.
//!
//! One snapshot per situation, whole, so that wording is reviewed in one diff:
//! `INSTA_UPDATE=always cargo test --test it failures`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use lfctl::fake::bundle::Fake;
use lfctl::sign::SecretKey;

use crate::support::bundle::key;

/// Nothing listens there.
const NO_ENGINE: &str = "unix:///nowhere/engine.sock";
const SITE: &str =
    "schema = 1\nurl = \"http://langfuse.lan:3000\"\n[admin]\nemail = \"ops@example.com\"\n";

/// A directory of somebody who has a bundle; `my root` is lfctl's root.
struct Desk {
    dir: tempfile::TempDir,
    key: SecretKey,
}

impl Desk {
    /// With a bundle whose key is trusted.
    fn new() -> Self {
        let desk = Self::without_trust();
        desk.write(
            "my root/etc/lfctl/trusted-keys.d/release.pub",
            &desk.key.public().to_text(),
        );
        desk
    }

    fn without_trust() -> Self {
        let (dir, key) = (tempfile::tempdir().unwrap(), key());
        let bundle = dir.path().join("a.tar");
        Fake::small().unwrap().write(&bundle, &key).unwrap();
        let desk = Self { dir, key };
        desk.write("away/a.tar", "");
        fs::copy(&bundle, desk.dir.path().join("away/a.tar")).unwrap();
        desk.write("publisher.pub", &desk.key.public().to_text());
        desk
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Runs lfctl, which must end with `code`, and returns what it printed.
    #[track_caller]
    fn run(&self, code: i32, arguments: &str) -> String {
        let mut words: Vec<_> = arguments.split_whitespace().collect();
        words.extend(["--root", "my root", "--engine", NO_ENGINE]);
        self.run_words(code, arguments, &words)
    }

    #[track_caller]
    fn run_words(&self, code: i32, shown: &str, words: &[impl AsRef<OsStr>]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_lfctl"))
            .args(words)
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let ended = output.status.code();
        assert_eq!(ended, Some(code), "{shown}: {stdout}{stderr}");
        format!("$ lfctl {shown}\n{stdout}{stderr}")
    }

    /// Types what the hints of a failure name, as it is printed but for the
    /// words in capitals, and expects these exit codes, one for each command.
    #[track_caller]
    fn follow(&self, failure: &str, codes: &[i32]) {
        let commands = hinted(failure);
        assert_eq!(commands.len(), codes.len(), "{commands:?} in {failure}");
        for (command, code) in commands.iter().zip(codes) {
            let words = shell_words::split(command).unwrap();
            let fill = |word: &String| match word.as_str() {
                "BUNDLE" => "away/a.tar".to_owned(),
                "FILE" => "publisher.pub".to_owned(),
                _ => word.clone(),
            };
            let words: Vec<_> = words.iter().skip(1).map(fill).collect();
            let is_under_root = words.windows(2).any(|pair| pair == ["--root", "my root"]);
            let is_manual = words[0] == "help";
            assert!(
                is_under_root || is_manual,
                "`{command}` is about another directory"
            );
            self.run_words(*code, command, &words);
        }
    }
}

/// The commands of lfctl in the hints of a failure.
fn hinted(failure: &str) -> Vec<String> {
    let hints = failure.lines().filter(|line| line.starts_with("hint: "));
    let quoted = hints.flat_map(|line| line.split('`').skip(1).step_by(2));
    let commands = quoted.filter(|text| {
        let is_lfctl = text.starts_with("lfctl ");
        // What only the host's administrator can do, files, and options.
        let others = ["systemctl start ", "rm ", "--"];
        let is_known = is_lfctl || others.iter().any(|start| text.starts_with(start));
        assert!(is_known, "nothing runs `{text}`");
        is_lfctl
    });
    commands.map(str::to_owned).collect()
}

/// Compares with the snapshot `name`.
fn check(name: &str, text: &str, dir: &Path) {
    let dir = dir.display().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, with) in [
        (dir.as_str(), "<dir>"),
        (r"[0-9a-f]{64}", "<digest>"),
        (r"[0-9A-F]{16}", "<key>"),
        (r"[0-9-]{10}T[0-9:.]+Z", "<time>"),
        (r"[0-9]+\.[0-9] s", "0.0 s"),
    ] {
        settings.add_filter(pattern, with);
    }
    settings.bind(|| insta::assert_snapshot!(format!("failure-{name}"), text));
}

#[test]
fn what_is_said_of_a_bundle() {
    let desk = Desk::new();
    let dir = desk.dir.path();
    let shown = |name: &str, code: i32, command: &str, codes: &[i32]| {
        let failure = desk.run(code, command);
        check(name, &failure, dir);
        desk.follow(&failure, codes);
    };
    // The next thing that is missing is site.toml.
    let install = "install --name lf a.tar";
    shown("install-without-offline", 2, install, &[3]);
    let install = "install --name lf --offline /etc";
    shown("install-a-directory", 4, install, &[]);
    let install = "install --name lf --offline a.tar";
    shown("install-without-site", 3, install, &[0]);
    desk.write(
        "site.toml",
        &SITE.replace("url", "ulr").replace("email", "e-mail"),
    );
    let install = "install --name lf --offline a.tar --site site.toml";
    shown("install-with-misspelt-keys", 3, install, &[0]);
    desk.write("site.toml", SITE);
    shown("install-without-an-engine", 7, install, &[]);
    desk.write("b.tar", "something else");
    let install = "install --name lf --offline";
    shown("install-which-bundle", 2, install, &[]);
    // The next thing that is missing is an engine.
    desk.run(3, "install --name lf --offline ./a.tar");
    shown("verify-what-is-no-bundle", 4, "bundle verify b.tar", &[]);
    fs::remove_file(dir.join("a.tar")).unwrap();
    fs::remove_file(dir.join("b.tar")).unwrap();
    desk.write("my root/etc/lfctl/lf/site.toml", SITE);
    // All is there but an engine.
    shown("install-no-bundle", 2, install, &[]);
    desk.run(7, "install --name lf --offline away/a.tar");
}

#[test]
fn what_is_said_of_keys() {
    let desk = Desk::without_trust();
    let dir = desk.dir.path();
    let failure = desk.run(4, "bundle verify a.tar");
    check("no-trusted-key", &failure, dir);
    desk.write("other.pub", &key().public().to_text());
    let verify = "bundle verify a.tar --trusted-key other.pub";
    check("unknown-key", &desk.run(4, verify), dir);
    desk.run(0, "bundle verify a.tar --trusted-key publisher.pub");
    // The key that is added is the one that was missing.
    desk.follow(&failure, &[0]);
    desk.run(0, "bundle verify a.tar");
    desk.write("bad.pub", "not a key");
    check("not-a-key", &desk.run(4, "trust add bad.pub"), dir);
    let missing = desk.run(74, "key show nothing.pub");
    check("no-such-key-file", &missing, dir);
}

#[test]
fn what_is_said_of_two_keys_of_one_id() {
    let desk = Desk::without_trust();
    let dir = desk.dir.path();
    // One of them was put there by somebody else.
    let text = desk.key.public().to_text();
    desk.write("my root/etc/lfctl/trusted-keys.d/a.pub", &text);
    let other = other_key_of_this_id(&text);
    desk.write("my root/etc/lfctl/trusted-keys.d/b.pub", &other);
    let failure = desk.run(4, "trust list");
    check("two-keys-of-one-id", &failure, dir);
    desk.follow(&failure, &[0, 0]);
    // The forged one is removed as it is printed.
    let mut removals = failure.split('`').filter(|text| text.starts_with("rm "));
    let remove = removals.nth(1).unwrap();
    let mut shell = Command::new("sh");
    let removed = shell.args(["-c", remove]).current_dir(dir).status();
    assert!(removed.unwrap().success(), "{remove}");
    desk.run(0, "trust list");
}

/// A key file with another key under the same id.
fn other_key_of_this_id(text: &str) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let (comment, line) = text.trim_end().split_once('\n').unwrap();
    let mut bytes = base64.decode(line).unwrap();
    let other = key().public().to_text();
    let other = base64
        .decode(other.trim_end().lines().nth(1).unwrap())
        .unwrap();
    // Two bytes of algorithm, eight of id, then the key.
    bytes[10..].copy_from_slice(&other[10..]);
    format!("{comment}\n{}\n", base64.encode(bytes))
}

#[test]
fn what_is_said_where_nothing_is_installed() {
    let desk = Desk::new();
    let dir = desk.dir.path();
    for (name, code, command, codes) in [
        ("status-nothing", 0, "status", &[][..]),
        ("status-no-such-name", 1, "status --name other", &[0]),
        ("doctor-nothing", 1, "doctor --name other", &[0]),
        ("history-nothing", 1, "history --name other", &[0]),
        ("recover-nothing", 0, "recover", &[]),
        ("logs-no-engine", 7, "logs web", &[]),
        ("uninstall-no-engine", 7, "uninstall --yes", &[]),
        ("audit-nothing", 0, "audit verify", &[]),
    ] {
        let failure = desk.run(code, command);
        check(name, &failure, dir);
        desk.follow(&failure, codes);
    }
}

#[test]
fn what_is_said_of_a_command_line() {
    let desk = Desk::new();
    let dir = desk.dir.path();
    let remote = "status --engine tcp://192.0.2.1:2375";
    for (name, command, codes) in [
        ("no-such-command", "instal", &[][..]),
        ("no-such-option", "doctor --everything", &[]),
        ("no-such-topic", "help nothing", &[0]),
        ("no-such-name", "status --name Not/A/Name", &[]),
        ("no-such-time", "logs web --since yesterday", &[]),
        ("no-such-check", "doctor --only nothing", &[0]),
        ("remote-engine", remote, &[]),
    ] {
        let failure = desk.run(2, command);
        check(name, &failure, dir);
        desk.follow(&failure, codes);
        if failure.contains("try '--help'") {
            let words = command.split(' ').take(1);
            let words: Vec<_> = words.filter(|name| *name != "instal").collect();
            desk.run_words(0, "--help", &[&words[..], &["--help"]].concat());
        }
    }
}

#[test]
fn what_is_said_of_an_audit_log_that_was_changed() {
    let desk = Desk::new();
    let dir = desk.dir.path();
    desk.run(0, "trust revoke 0000000000000001");
    desk.run(0, "trust revoke 0000000000000002");
    desk.run(0, "audit verify");
    let log = dir.join("my root/var/log/lfctl/_host/audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replace("0000000000000001", "0000000000000003")).unwrap();
    check("audit-changed", &desk.run(4, "audit verify"), dir);
    let first = text.lines().next().unwrap();
    fs::write(&log, format!("{first}\n")).unwrap();
    check("audit-cut", &desk.run(4, "audit verify --host"), dir);
}
