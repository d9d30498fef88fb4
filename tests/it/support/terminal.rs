//! A terminal with somebody at it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Both ends of a terminal in which lfctl runs.
pub(crate) struct Terminal {
    child: Child,
    output: mpsc::Receiver<String>,
    seen: String,
    /// Everything that was shown.
    pub(crate) all: String,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Runs lfctl with these arguments in `dir`.
    pub(crate) fn with(arguments: &str, dir: &Path) -> Self {
        let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_lfctl"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        let mut child = script
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            output: receiver,
            seen: String::new(),
            all: String::new(),
        }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until what is typed is not shown any more: the prompt comes a
    /// moment before, and what is typed in between is lost.
    pub(crate) fn wait_until_hidden(&self) {
        let pid = self.child.id();
        let begun = Instant::now();
        while !hides(pid).unwrap_or(false) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it still shows");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads on until `text` was shown, and forgets what was before it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.output.recv_timeout(Duration::from_secs(30)) {
                Ok(more) => {
                    self.all += &more;
                    self.seen += &more;
                }
                Err(error) => panic!("{error}: no `{text}` in: {}", self.seen),
            }
        }
        let (_, rest) = self.seen.split_once(text).unwrap();
        self.seen = rest.to_owned();
    }

    /// Waits for lfctl to end, and keeps what it still shows.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.all.extend(self.output.iter());
        self.child.wait().unwrap()
    }
}

/// Whether the terminal that `script` opened for its child shows no letters.
fn hides(script: u32) -> Option<bool> {
    let children = fs_err::read_to_string(format!("/proc/{script}/task/{script}/children")).ok()?;
    let child = children.split_whitespace().next()?;
    let terminal = fs_err::read_link(format!("/proc/{child}/fd/0")).ok()?;
    let settings = Command::new("stty")
        .arg("-aF")
        .arg(terminal)
        .output()
        .ok()?;
    let settings = String::from_utf8(settings.stdout).ok()?;
    Some(settings.split_whitespace().any(|one| one == "-echo"))
}
