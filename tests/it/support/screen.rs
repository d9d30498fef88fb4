//! A terminal as a person sees it: a shell in `tmux`, and its screen.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A shell in a terminal of a certain width, in which `lfctl` is the program.
pub(crate) struct Screen {
    server: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

impl Screen {
    /// Opens a terminal of `columns` columns in `dir`.
    pub(crate) fn open(columns: u32, dir: &Path) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let screen = Self {
            server: format!("lfctl-test-{}-{count}", std::process::id()),
        };
        let columns = columns.to_string();
        let lfctl = Path::new(env!("CARGO_BIN_EXE_lfctl")).parent().unwrap();
        // On a host whose name, which the wizard proposes, is always the same.
        let shell = format!(
            "unshare --uts env -u LFCTL_ENGINE PS1='$ ' PATH={}:/usr/bin:/bin \
             sh -c 'hostname vm; exec bash --norc --noprofile'",
            lfctl.display()
        );
        let dir = dir.to_str().unwrap();
        screen.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            "45",
            "-c",
            dir,
            &shell,
        ]);
        screen.wait_for("$");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.server])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line and Enter.
    pub(crate) fn enter(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.tmux(&["send-keys", "C-c"]);
    }

    /// What is on the screen, without empty lines at its end.
    pub(crate) fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// Waits until `text` is on the screen, in one line or several, and returns
    /// all that is there.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let seen = self.text();
            if one_line(&seen).contains(text) {
                return seen;
            }
            let limit = Duration::from_secs(120);
            assert!(
                begun.elapsed() < limit,
                "no `{text}` on the screen:\n{seen}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the last line, the one that moves, begins with `text`, and
    /// returns all that is there.
    #[track_caller]
    pub(crate) fn wait_for_moving(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let seen = self.text();
            if seen
                .lines()
                .last()
                .is_some_and(|last| last.starts_with(text))
            {
                return seen;
            }
            let limit = Duration::from_secs(120);
            assert!(begun.elapsed() < limit, "no `{text}` moves on:\n{seen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether something on the screen has a colour.
    pub(crate) fn has_colour(&self) -> bool {
        let seen = self.tmux(&["capture-pane", "-p", "-e"]);
        seen.contains("\u{1b}[3") || seen.contains("\u{1b}[1")
    }

    /// Whether the cursor is shown and what is typed is too.
    #[track_caller]
    pub(crate) fn assert_usable(&self) {
        let cursor = self.tmux(&["display-message", "-p", "#{cursor_flag}"]);
        assert_eq!(cursor.trim(), "1", "the cursor is hidden");
        self.enter(
            "stty -a | grep -ow -e '-\\?echo' -e '-\\?icanon' -e '-\\?isig'; echo ter''minal",
        );
        let seen = self.wait_for("terminal");
        assert!(
            !seen.contains("\n-"),
            "the terminal is not restored:\n{seen}"
        );
    }
}

/// The words of a text, with one blank between them.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The screen with times, digests and keys that differ between runs taken out.
pub(crate) fn stable(screen: &str) -> String {
    let mut stable = screen.to_owned();
    for (pattern, with) in [
        (r"[0-9]+\.[0-9] s", "0.0 s"),
        (r"[0-9]+ ms", "9 ms"),
        (r"[0-9a-f]{64}", "<digest>"),
        (r"[0-9a-f]{32}", "0123456789abcdef0123456789abcdef"),
        (r"[0-9A-F]{16}", "<key>"),
        (r"[0-9-]{10}T[0-9:.]+Z", "<time>"),
        (r"[0-9]+ bytes", "<bytes>"),
    ] {
        stable = regex(&stable, pattern, with);
    }
    stable
}

pub(crate) fn regex(text: &str, pattern: &str, with: &str) -> String {
    let mut sed = std::process::Command::new("sed");
    sed.args(["-E", &format!("s/{pattern}/{with}/g")]);
    let mut child = sed
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
