//! Runs that were interrupted, and the next one.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lfctl::fake::bundle::{FakeImage, FakeLayer};
use rustix::process::{Pid, Signal, kill_process};

use super::server::{answer, answers_of, ok, serve};
use super::{Desk, gateway};
use crate::support::bundle::noise;

/// More than two marks of a layer; the second is not far behind [`SECOND`].
const SECOND: usize = 16 << 20;
const SENT: usize = 20 << 20;

fn large() -> FakeImage {
    FakeImage::new(vec![FakeLayer::plain(&[("large", &noise(7, 24 << 20))])])
}

/// A registry that stalls in the middle of the large layer, until it is told
/// not to.
struct Stalling {
    address: String,
    stalls: Arc<AtomicBool>,
    /// Where each request for the large layer began.
    from: Arc<Mutex<Vec<usize>>>,
}

impl Stalling {
    fn start() -> Self {
        let answers: BTreeMap<_, _> = answers_of(&[("app", large()), ("gateway", gateway())]);
        let digest = large().layers[0].digest().to_string();
        let (stalls, from) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (stalling, seen) = (Arc::clone(&stalls), Arc::clone(&from));
        let address = serve(move |asked, stream: &mut TcpStream| {
            let path = asked.path.split('?').next().unwrap();
            let Some(body) = answers.get(path) else {
                let _ = stream.write_all(&answer("404 Not Found", "", b""));
                return;
            };
            if !path.ends_with(&digest) {
                let _ = stream.write_all(&ok(body));
                return;
            }
            let from = asked.from();
            let seen: &Mutex<Vec<usize>> = &seen;
            seen.lock().unwrap().push(from);
            if stalling.load(Ordering::SeqCst) {
                let _ = stream.write_all(&ok(body)[..SENT]);
                std::thread::sleep(Duration::from_secs(60));
                return;
            }
            let range = format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                body.len() - 1,
                body.len()
            );
            let part = answer("206 Partial Content", &range, &body[from..]);
            let _ = stream.write_all(&part);
        });
        Self {
            address,
            stalls,
            from,
        }
    }

    fn asked_from(&self) -> Vec<usize> {
        std::mem::take(&mut *self.from.lock().unwrap())
    }
}

struct Interrupted {
    desk: Desk,
    registry: Stalling,
}

impl Interrupted {
    fn new() -> Self {
        Self {
            desk: Desk::new(),
            registry: Stalling::start(),
        }
    }

    fn create(&self, more: &[&str]) -> std::process::Command {
        let docker = format!("docker.io={}", self.registry.address);
        let quay = format!("quay.io={}", self.registry.address);
        self.desk
            .command(&[&Desk::create(&docker, &quay), more].concat())
    }

    /// Begins a bundle and stops it by `signal` when a part of the large
    /// layer is there.
    fn stop(&self, signal: Signal, more: &[&str]) -> Option<i32> {
        self.stop_and_read(signal, more).0
    }

    /// As [`Interrupted::stop`], with what it says then.
    fn stop_and_read(&self, signal: Signal, more: &[&str]) -> (Option<i32>, String) {
        self.registry.stalls.store(true, Ordering::SeqCst);
        let child: Child = self
            .create(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while self.marks() < 3 {
            assert!(Instant::now() < until, "nothing is marked");
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        self.registry.stalls.store(false, Ordering::SeqCst);
        self.registry.asked_from();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    }

    fn marks(&self) -> usize {
        let text = self
            .hidden("marks")
            .and_then(|path| fs_err::read_to_string(path).ok());
        text.unwrap_or_default().lines().count()
    }

    fn hidden(&self, extension: &str) -> Option<PathBuf> {
        let path = |name: &String| self.desk.path(name);
        let is_it = |name: &String| name.starts_with('.') && name.ends_with(extension);
        let names = super::names(&self.desk.path("."));
        names.iter().find(|name| is_it(name)).map(path)
    }

    fn finish(&self, more: &[&str]) -> Vec<usize> {
        let output = self.create(more).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert_eq!(self.hidden("marks"), None);
        assert_eq!(self.hidden("partial"), None);
        self.registry.asked_from()
    }

    fn verify(&self, bundle: &str) {
        let verify = ["bundle", "verify", bundle, "--trusted-key", "release.pub"];
        self.desk.lfctl(&verify);
    }
}

/// Only what was not there is asked for, and only once.
fn is_rest(asked: &[usize]) -> bool {
    asked.len() == 1 && (SECOND..SENT).contains(&asked[0])
}

#[test]
fn a_run_that_was_killed_is_gone_on_with() {
    let run = Interrupted::new();
    for signal in [Signal::KILL, Signal::INT] {
        let code = run.stop(signal, &[]);
        assert_eq!(code, (signal == Signal::INT).then_some(12));
        assert!(!run.desk.path("a.tar").exists());
        let asked = run.finish(&[]);
        assert!(is_rest(&asked), "after {signal:?}: {asked:?}");
        run.verify("a.tar");
        fs_err::remove_file(run.desk.path("a.tar")).unwrap();
    }
}

#[test]
fn parts_are_gone_on_with_as_well() {
    let run = Interrupted::new();
    let split = ["--split", "5M"];
    run.stop(Signal::KILL, &split);
    let asked = run.finish(&split);
    assert!(is_rest(&asked), "{asked:?}");
    run.verify("a.tar.parts");
    // Cut in another way, nothing is where it was.
    run.stop(Signal::KILL, &split);
    assert_eq!(run.finish(&["--split", "6M"]), [0]);
    run.verify("a.tar.parts");
}

#[test]
fn what_is_not_what_it_was_is_pulled_again() {
    let run = Interrupted::new();
    run.stop(Signal::KILL, &[]);
    let partial = run.hidden("partial").unwrap();
    let mut bytes = fs_err::read(&partial).unwrap();
    bytes[8 << 20] ^= 1;
    fs_err::write(&partial, bytes).unwrap();
    assert_eq!(run.finish(&[]), [0]);
    run.verify("a.tar");

    // Nor is a file that was taken away a reason to fail.
    run.stop(Signal::KILL, &[]);
    fs_err::remove_file(run.hidden("partial").unwrap()).unwrap();
    assert_eq!(run.finish(&[]), [0]);
    run.verify("a.tar");

    // Marks that cannot be read are none.
    run.stop(Signal::KILL, &[]);
    fs_err::write(run.hidden("marks").unwrap(), "{").unwrap();
    assert_eq!(run.finish(&[]), [0]);
    run.verify("a.tar");
}

#[test]
fn nothing_stays_of_a_run_that_was_to_write_the_other_form() {
    let run = Interrupted::new();
    let split = ["--split", "5M"];
    for (first, second) in [(&[][..], &split[..]), (&split, &[])] {
        run.stop(Signal::KILL, first);
        assert!(run.hidden("partial").is_some());
        // No partial is there when it is done.
        assert_eq!(run.finish(second), [0]);
    }
    run.verify("a.tar");
    run.verify("a.tar.parts");

    // Unless somebody is at it.
    run.stop(Signal::KILL, &[]);
    let partial = run.hidden("partial").unwrap();
    let held = fs_err::File::open(&partial).unwrap();
    let operation = rustix::fs::FlockOperation::LockExclusive;
    rustix::fs::flock(held.file(), operation).unwrap();
    let refused = run.create(&split).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(74), "{text}");
    assert!(text.contains("another process is writing"), "{text}");
    assert!(partial.exists());
}

#[test]
fn marks_that_lead_elsewhere_are_none() {
    let run = Interrupted::new();
    run.stop(Signal::KILL, &[]);
    let (marks, other) = (run.hidden("marks").unwrap(), run.desk.path("other"));
    fs_err::rename(&marks, &other).unwrap();
    let before = fs_err::read(&other).unwrap();
    fs_err::os::unix::fs::symlink(&other, &marks).unwrap();
    assert_eq!(run.finish(&[]), [0]);
    assert!(fs_err::read(&other).unwrap() == before);
}

#[test]
fn who_stops_a_run_is_told_what_stays_of_it() {
    let run = Interrupted::new();
    let (code, text) = run.stop_and_read(Signal::INT, &[]);
    assert_eq!(code, Some(12), "{text}");
    assert!(text.contains("what is in `.a.tar.partial`"), "{text}");
    run.finish(&[]);
    let (code, text) = run.stop_and_read(Signal::TERM, &["--split", "5M"]);
    assert_eq!(code, Some(12), "{text}");
    assert!(
        text.contains("`.a.tar.001.partial` and the parts"),
        "{text}"
    );
    assert!(run.desk.path(".a.tar.001.partial").exists());
}
