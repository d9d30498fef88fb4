//! An engine of a test's own on a host whose only uplink leads to an internet
//! where every address, port and name answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use super::host::both;
use scripts::{COUNTERS, REDIRECT, RELAY, RESPONDER};

mod scripts;

/// What was counted since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) left: u64,
    pub(crate) opened: u64,
}

/// See the module. Needs root.
pub(crate) struct Island {
    here: String,
    internet: String,
    dir: tempfile::TempDir,
    power: Mutex<Power>,
    running: Vec<Child>,
}

/// What a power failure ends.
#[derive(Default)]
struct Power {
    /// Keeps the mounts of the engine.
    mounts: Option<Child>,
    engine: Option<Child>,
}

impl Island {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("lfi{}-{number}", std::process::id());
        let mut island = Self {
            here: format!("{name}-here"),
            internet: format!("{name}-net"),
            // On a disk: an engine's store has more than memory should hold.
            dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            power: Mutex::default(),
            running: Vec::new(),
        };
        island.lay_uplink();
        island.start_internet();
        island.mount();
        island.start_engine();
        let counters = island.dir.path().join("counters.nft");
        fs::write(&counters, COUNTERS).unwrap();
        island.ok("nft", &["-f", counters.to_str().unwrap()]);
        island
    }

    fn lay_uplink(&self) {
        let (here, there) = (self.here.as_str(), self.internet.as_str());
        let both_ends = [
            (here, "uplink", "198.51.100.1/30", "2001:db8:1::1/64"),
            (there, "uplink", "198.51.100.2/30", "2001:db8:1::2/64"),
        ];
        ip(&["netns", "add", here]);
        ip(&["netns", "add", there]);
        let peer = ["peer", "name", "uplink", "netns", there];
        let link = ["-n", here, "link", "add", "uplink", "type", "veth"];
        ip(&[&link[..], &peer[..]].concat());
        for (namespace, link, v4, v6) in both_ends {
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
            ip(&["-n", namespace, "addr", "add", v4, "dev", link]);
            ip(&["-n", namespace, "addr", "add", v6, "dev", link, "nodad"]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
        }
        ip(&["-n", here, "route", "add", "default", "via", "198.51.100.2"]);
        let v6 = ["-6", "route", "add", "default", "via", "2001:db8:1::2"];
        ip(&[&["-n", here][..], &v6].concat());
        // Every address is one of the internet's own; of IPv6 only for what
        // comes in, or its answers would stay there too.
        let local = |all| ["route", "add", "local", all, "dev", "lo"];
        ip(&[&["-n", there][..], &local("0.0.0.0/0")].concat());
        let table = ["table", "80"];
        ip(&[&["-n", there, "-6"][..], &local("::/0"), &table].concat());
        let rule = ["-6", "rule", "add", "iif", "uplink"];
        ip(&[&["-n", there][..], &rule, &table].concat());
        let back = ["route", "add", "172.16.0.0/12", "via", "198.51.100.1"];
        ip(&[&["-n", there][..], &back].concat());
    }

    fn start_internet(&mut self) {
        let rules = self.dir.path().join("redirect.nft");
        fs::write(&rules, REDIRECT).unwrap();
        let namespace = format!("--net=/run/netns/{}", self.internet);
        let loaded = Command::new("nsenter")
            .args([namespace.as_str(), "nft", "-f"])
            .arg(&rules)
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", both(&loaded));
        let responder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nsenter", &namespace])
            .args(["python3", "-c", RESPONDER])
            .spawn()
            .unwrap();
        self.running.push(responder);
        let begun = Instant::now();
        while self.ask("192.0.2.80", 1234).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no internet");
        }
    }

    /// What `address` says to a TCP client on this host.
    pub(crate) fn ask(&self, address: &str, port: u16) -> String {
        let port = port.to_string();
        let arguments = ["timeout", "2", "busybox", "nc", "-w", "1", address, &port];
        let output = self
            .command("busybox", &arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Gives the engine a place for its mounts, in which its directories below
    /// /run are its own.
    fn mount(&self) {
        let resolver = self.dir.path().join("resolv.conf");
        fs::write(&resolver, "nameserver 192.0.2.53\n").unwrap();
        let script = format!(
            "mount --make-rprivate / && mount --bind {} /etc/resolv.conf \
             && mount -t tmpfs tmpfs /run && echo && exec sleep infinity",
            resolver.display(),
        );
        let mut mounts = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c"])
            .arg(&script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        let out = mounts.stdout.as_mut().unwrap();
        out.read_exact(&mut ready).unwrap();
        self.power().mounts = Some(mounts);
    }

    pub(crate) fn start_engine(&self) {
        let mut power = self.power();
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let mounts = power.mounts.as_ref().unwrap().id().to_string();
        let log = fs::File::create(at("log")).unwrap().into_file();
        let engine = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "nsenter"])
            .arg(format!("--net=/run/netns/{}", self.here))
            .args(["--target", &mounts, "--mount", "dockerd", "--data-root"])
            .args([&at("data"), "--host", &self.engine()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let engine = power.engine.insert(engine);
        let begun = Instant::now();
        let answers = || {
            self.command("docker", &["info"])
                .output()
                .unwrap()
                .status
                .success()
        };
        while !answers() {
            let ended = engine.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(60),
                "no engine ({ended:?}): {}",
                fs::read_to_string(at("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the engine; containers run on, and nobody minds them.
    pub(crate) fn kill_engine(&self) {
        let mut power = self.power();
        if let Some(mut engine) = power.engine.take() {
            engine.kill().unwrap();
            engine.wait().unwrap();
            // The engine's own containerd ends with it. The next one would take
            // a process that nobody has waited for yet for one that runs.
            let mounts = power.mounts.as_ref().unwrap().id().to_string();
            let file = "/run/docker/containerd/containerd.pid";
            let _ = Command::new("nsenter")
                .args(["--target", &mounts, "--mount", "rm", "-f", file])
                .status();
        }
    }

    /// Ends everything on this host at once, as a power failure does. What is
    /// only in memory is gone: mounts, bridges and rules of the firewall.
    pub(crate) fn cut_power(&self) {
        self.kill_all();
        self.kill_engine();
        // The last of them are gone when what they had mounted is.
        let mut mounts = self.power().mounts.take().unwrap();
        let _ = mounts.kill();
        let _ = mounts.wait();
        self.ok("nft", &["flush", "ruleset"]);
        let bridges = self.ok("ip", &["-o", "link", "show", "type", "bridge"]);
        for line in bridges.lines() {
            let name = line.split(": ").nth(1).unwrap();
            self.ok("ip", &["link", "delete", name]);
        }
        self.mount();
    }

    fn kill_all(&self) {
        let processes = self.processes();
        let killed: Vec<_> = processes.iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg("-KILL").args(&killed).output();
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever the engine started, itself included, and all below it.
    fn processes(&self) -> BTreeSet<u32> {
        let namespace = |id: u32| fs::read_link(format!("/proc/{id}/ns/mnt")).ok();
        let mounts = self.power().mounts.as_ref().unwrap().id();
        let own = namespace(mounts);
        let entries = fs::read_dir("/proc").unwrap();
        let parents: BTreeMap<u32, u32> = entries
            .filter_map(|entry| {
                let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
                let (_, rest) = stat.rsplit_once(") ")?;
                Some((id, rest.split(' ').nth(1)?.parse().ok()?))
            })
            .collect();
        let mut found: BTreeSet<u32> = parents
            .keys()
            .copied()
            .filter(|id| *id != mounts && namespace(*id) == own)
            .collect();
        loop {
            let below = parents.iter().filter(|(_, parent)| found.contains(parent));
            let all: BTreeSet<u32> = below.map(|(id, _)| *id).chain(found.clone()).collect();
            if all.len() == found.len() {
                return all;
            }
            found = all;
        }
    }

    /// A socket that leads to a port of this host, also while nobody listens
    /// there.
    pub(crate) fn relay(&mut self, port: u16) -> PathBuf {
        let socket = self.dir.path().join(format!("relay-{port}"));
        let relay = self
            .command("python3", &["-c", RELAY])
            .arg(&socket)
            .arg(port.to_string())
            .spawn()
            .unwrap();
        self.running.push(relay);
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        socket
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// The engine, in the words of `--engine` and of `DOCKER_HOST`.
    pub(crate) fn engine(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A program on this host.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.here))
            .arg(program)
            .args(arguments)
            .env("DOCKER_HOST", self.engine())
            .env("LFCTL_ENGINE", self.engine());
        command
    }

    /// Runs a program on this host, which must succeed, and returns its stdout.
    pub(crate) fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let output: Output = self.command(program, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            both(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// What was counted since the last look.
    pub(crate) fn counted(&self) -> Counted {
        let counters = self.ok("nft", &["-j", "reset", "counters"]);
        let counters: Value = serde_json::from_str(&counters).unwrap();
        let packets = |name: &str| {
            let all = counters["nftables"].as_array().unwrap().iter();
            let one = all
                .map(|one| &one["counter"])
                .find(|one| one["name"] == name);
            one.unwrap()["packets"].as_u64().unwrap()
        };
        Counted {
            left: packets("left"),
            opened: packets("opened"),
        }
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // The engine takes its containers along, if it still runs.
        if let Some(mut engine) = self.power().engine.take() {
            let _ = Command::new("kill").arg(engine.id().to_string()).status();
            let _ = engine.wait();
        }
        self.kill_all();
        let all = self.power().mounts.take().into_iter();
        for mut child in all.chain(self.running.drain(..)) {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        for namespace in [&self.here, &self.internet] {
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .output();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        both(&output)
    );
}
