//! What a person sees at a terminal, at several widths.

use std::path::Path;

use fs_err as fs;
use lfctl::fake::bundle::Fake;
use secrecy::ExposeSecret;

use crate::support::bundle::key;
use crate::support::screen::{Screen, one_line, stable};

const WIDTHS: [u32; 3] = [60, 80, 200];
/// Nothing listens there.
const NO_ENGINE: &str = "--engine unix:///nowhere/engine.sock";

/// A directory with a bundle, the key that signed it, and a root that trusts
/// it.
fn desk() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = key();
    Fake::small()
        .unwrap()
        .write(&dir.path().join("a.tar"), &key)
        .unwrap();
    let keys = dir.path().join("r/etc/lfctl/trusted-keys.d");
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("release.pub"), key.public().to_text()).unwrap();
    let protected = lfctl::sign::generate(Some(&"secret".into())).unwrap();
    let file = dir.path().join("protected.key");
    fs::write(file, protected.secret.expose_secret()).unwrap();
    dir
}

fn site(dir: &Path) -> String {
    fs::read_to_string(dir.join("r/etc/lfctl/langfuse/site.toml")).unwrap_or_default()
}

#[test]
#[ignore = "needs root and tmux"]
fn a_finished_step_leaves_one_line_and_nothing_else() {
    let desk = desk();
    for columns in WIDTHS {
        for term in ["TERM=screen", "TERM=dumb", "env -u TERM"] {
            let screen = Screen::open(columns, desk.path());
            screen.enter(&format!(
                "clear; {term} lfctl --root r bundle verify a.tar > receipt; echo en''ded"
            ));
            let seen = screen.wait_for("ended");
            let expected = "ok Verifying every byte 0.0 s 3 layers are right ended $";
            assert_eq!(
                stable(&one_line(&seen)).trim(),
                expected,
                "{columns} {term}:\n{seen}"
            );
        }
    }
}

#[test]
#[ignore = "needs root and tmux"]
fn the_wizard_checks_each_answer_and_keeps_them_before_it_goes_on() {
    for columns in WIDTHS {
        let desk = desk();
        let screen = Screen::open(columns, desk.path());
        screen.enter(&format!(
            "clear; lfctl --root r {NO_ENGINE} install --offline a.tar"
        ));
        screen.wait_for("reach Langfuse [");
        screen.enter("langfuse.example.com");
        screen.wait_for("write it like `https://langfuse.example.com`");
        screen.enter("http://langfuse.example.com:3000");
        screen.wait_for("to listen on [0.0.0.0:3000]:");
        screen.enter("4000");
        screen.wait_for("make the ports equal");
        screen.enter("3000");
        screen.wait_for("first administrator:");
        screen.enter("admin@localhost");
        screen.wait_for("admin@example.com`");
        screen.enter("admin@example.com");
        screen.wait_for("organization [Default]:");
        screen.enter("");
        let seen = screen.wait_for("install? [Y/n]:");
        assert_eq!(site(desk.path()), "", "nothing was confirmed yet");
        for line in seen.lines() {
            assert!(line.chars().count() <= columns as usize, "{line}");
        }
        insta::assert_snapshot!(format!("wizard-{columns}"), stable(&seen));
        screen.enter("y");
        screen.wait_for("error:");
        let site = site(desk.path());
        assert!(
            site.contains("url = \"http://langfuse.example.com:3000\""),
            "{site}"
        );
        assert!(site.contains("listen = \"0.0.0.0:3000\""), "{site}");
        // The answers are not asked for again.
        screen.enter(&format!(
            "clear; echo aga''in; lfctl --root r {NO_ENGINE} install --offline a.tar"
        ));
        screen.wait_for("again");
        let seen = screen.wait_for("error:");
        assert!(!seen.contains("First install"), "{seen}");
    }
}

#[test]
#[ignore = "needs root and tmux"]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let desk = desk();
    let install = format!("lfctl --root r {NO_ENGINE} install --offline a.tar");
    for (command, question) in [
        (install.as_str(), "reach Langfuse ["),
        (
            "lfctl key show protected.key",
            "Password of the secret key:",
        ),
    ] {
        let screen = Screen::open(80, desk.path());
        screen.enter(&format!("clear; {command}"));
        screen.wait_for(question);
        // What follows the question, such as switching off the echo, is done.
        std::thread::sleep(std::time::Duration::from_millis(300));
        screen.interrupt();
        screen.enter("echo co''de $?");
        screen.wait_for("code 130");
        screen.assert_usable();
    }
    assert_eq!(site(desk.path()), "");
}

#[test]
#[ignore = "needs root and tmux"]
fn long_lines_break_between_words() {
    let desk = desk();
    let screen = Screen::open(60, desk.path());
    screen.enter(&format!(
        "clear; lfctl --root r {NO_ENGINE} status; lfctl --root r {NO_ENGINE} bundle load a.tar"
    ));
    screen.wait_for("hint:");
    let seen = screen.wait_for("hint:");
    insta::assert_snapshot!("no-engine-60", stable(&seen));
}
