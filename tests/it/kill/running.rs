//! An appliance that serves a client while its lfctl is killed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lfctl::bundle::manifest::UpgradeWay;

use super::bench::{Bench, bundle};
use crate::support::host::Host;
use crate::support::island::Island;

/// How long a client waits for an answer, and between two events.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// Sends events through the gateway for as long as it lives.
pub(super) struct Client {
    /// Those that were accepted.
    accepted: Arc<Mutex<BTreeSet<String>>>,
    is_over: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
}

impl Client {
    fn of(door: Door) -> Self {
        let accepted = Arc::new(Mutex::new(BTreeSet::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (all, over) = (Arc::clone(&accepted), Arc::clone(&is_over));
        let work = std::thread::spawn(move || {
            for number in 0_u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let id = format!("{number:032x}");
                if send(&door, &id).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                    all.lock().unwrap().insert(id);
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self {
            accepted,
            is_over,
            work: Some(work),
        }
    }

    /// Sends no more.
    pub(super) fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.work.take().map(JoinHandle::join);
    }

    fn accepted(&self) -> BTreeSet<String> {
        let accepted = self.accepted.lock();
        accepted.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where the gateway is reached.
#[derive(Clone)]
enum Door {
    Port(u16),
    /// Of an island.
    Socket(PathBuf),
}

fn send(door: &Door, id: &str) -> std::io::Result<String> {
    let body = format!(r#"{{"traceId":"{id}"}}"#);
    ask(door, "POST /api/public/otel/v1/traces", &body)
}

/// Sends one request to the published port, and returns the whole answer.
fn ask(door: &Door, what: &str, body: &str) -> std::io::Result<String> {
    let length = body.len();
    let request = format!("{what} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    match door {
        Door::Port(port) => {
            let address = ([127, 0, 0, 1], *port).into();
            let stream = TcpStream::connect_timeout(&address, ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            talk(stream, &request)
        }
        Door::Socket(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER))?;
            talk(stream, &request)
        }
    }
}

fn talk(mut stream: impl Read + Write, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// An appliance that goes from one release to the next.
pub(super) struct Running {
    // Ends before the appliance does.
    pub(super) client: Client,
    door: Door,
    pub(super) bench: Bench,
    /// What runs.
    pub(super) release: u32,
    /// What ran before.
    pub(super) previous: Vec<u32>,
}

impl Running {
    /// With the first release.
    pub(super) fn new(way: UpgradeWay) -> Self {
        let bench = Bench::new(way);
        let door = Door::Port(bench.host.port);
        Self::behind(door, bench)
    }

    /// The same on a host of its own, whose power can be cut.
    pub(super) fn on_an_island(way: UpgradeWay) -> Self {
        let mut bench = Bench::on(Host::on(Island::new()), way);
        let port = bench.host.port;
        let socket = bench.host.island.as_mut().unwrap().relay(port);
        Self::behind(Door::Socket(socket), bench)
    }

    fn behind(door: Door, bench: Bench) -> Self {
        bench.host.ok(&bench.host.install(&bundle(1)));
        Self {
            client: Client::of(door.clone()),
            door,
            bench,
            release: 1,
            previous: Vec::new(),
        }
    }

    /// Takes up two releases, and returns how many lines the journal gains by
    /// the second.
    pub(super) fn lines_of_an_upgrade(&mut self) -> usize {
        let mut lines = 0;
        for release in [2, 3] {
            self.bench.make(release);
            lines = self.bench.count(&self.upgrade(&bundle(release)));
            self.committed(release);
            self.is_whole(None, 0);
        }
        lines
    }

    pub(super) fn island(&self) -> &Island {
        self.bench.host.island.as_ref().unwrap()
    }

    pub(super) fn upgrade<'a>(&'a self, bundle: &'a str) -> Vec<&'a str> {
        vec![
            "upgrade",
            "--offline",
            bundle,
            "--name",
            &self.bench.host.name,
        ]
    }

    pub(super) fn recover(&self) -> Vec<&str> {
        vec!["recover", "--name", &self.bench.host.name]
    }

    pub(super) fn rollback(&self) -> Vec<&str> {
        vec!["rollback", "--name", &self.bench.host.name]
    }

    pub(super) fn committed(&mut self, release: u32) {
        self.previous = vec![std::mem::replace(&mut self.release, release)];
    }

    fn volume(&self) -> String {
        let name = format!("{}-store-data", self.bench.host.name);
        let at =
            self.bench
                .host
                .docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &name]);
        at.trim().to_owned()
    }

    pub(super) fn in_store(&self, command: &str) -> String {
        let store = self.bench.host.container("store");
        self.bench
            .host
            .docker(&["exec", &store, "/bin/sh", "-c", command])
    }

    /// Number of the release that answers at the published port, which an engine
    /// that has just started may open a moment after the containers are up.
    pub(super) fn answers(&self) -> u32 {
        let begun = Instant::now();
        let answer = loop {
            match ask(&self.door, "GET /api/public/health", "") {
                Ok(answer) => break answer,
                Err(error) => assert!(begun.elapsed() < 2 * ANSWER, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let version = answer.rsplit_once("1.0.").map(|(_, rest)| rest);
        let number = version.and_then(|rest| rest.split('"').next());
        number.and_then(|one| one.parse().ok()).expect(&answer)
    }

    /// Fails unless what is to run does, all that was accepted is there, and
    /// nothing else.
    pub(super) fn is_whole(&self, staged: Option<u32>, after: usize) {
        let (release, kept) = (self.release, &self.previous);
        self.bench.is_well(release, kept, staged, after);
        assert_eq!(self.answers(), self.release, "after line {after}");
        let accepted = self.client.accepted();
        let held = self.in_store("ls /data/events");
        let held: BTreeSet<_> = held.lines().map(str::to_owned).collect();
        let lost: Vec<_> = accepted.difference(&held).collect();
        assert!(lost.is_empty(), "after line {after}: {lost:?}");
        let beside = std::path::Path::new(&self.volume()).join("..");
        let left: Vec<_> = fs_err::read_dir(beside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["_data"], "after line {after}");
    }
}
