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
        let shell = format!(
            "env -u LFCTL_ENGINE PS1='$ ' PATH={}:/usr/bin:/bin bash --norc --noprofile",
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
            let limit = Duration::from_secs(60);
            assert!(
                begun.elapsed() < limit,
                "no `{text}` on the screen:\n{seen}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
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
