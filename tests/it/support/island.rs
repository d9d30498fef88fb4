//! An engine of a test's own on a host whose only uplink leads to an internet
//! where every address, port and name answers.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use super::host::both;

/// Answers every TCP connect, and every datagram as a name server does.
const RESPONDER: &str = r"
import socket, threading
tcp = socket.create_server(('::', 9), family=socket.AF_INET6, dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(('::', 9))
def take():
    while True:
        s, _ = tcp.accept()
        try: s.sendall(b'internet\n'); s.close()
        except OSError: pass
threading.Thread(target=take).start()
while True:
    asked, who = udp.recvfrom(4096)
    answer = b'\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x50'
    udp.sendto(asked[:2] + b'\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00' + asked[12:] + answer, who)
";

/// Sends every port of every address to the responder.
const REDIRECT: &str = "table inet internet {
    chain everything {
        type nat hook prerouting priority -100;
        meta l4proto { tcp, udp } redirect to :9
    }
}";

/// `left`: packets that go out by the uplink, made here or by a container.
/// `opened`: what containers send to the host, for itself or for others, but
/// answers: each first packet, datagram and echo request, before any firewall.
/// Neighbour discovery belongs to the links themselves.
const COUNTERS: &str = "table inet island {
    counter left {}
    chain out {
        type filter hook postrouting priority 300;
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
        oifname \"uplink\" counter name left
    }
}
table bridge island {
    counter opened {}
    chain from_containers {
        type filter hook input priority -300;
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
        meta l4proto tcp tcp flags & (syn | ack) == syn counter name opened
        meta protocol { ip, ip6 } meta l4proto != tcp counter name opened
    }
}";

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
    running: Vec<Child>,
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
            running: Vec::new(),
        };
        island.lay_uplink();
        island.start_internet();
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

    fn start_engine(&mut self) {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        fs::write(at("resolv.conf"), "nameserver 192.0.2.53\n").unwrap();
        // Its directories below /run are its own.
        let script = format!(
            "mount --make-rprivate / && mount --bind {resolver} /etc/resolv.conf \
             && mount -t tmpfs tmpfs /run && exec dockerd --data-root {data} --host {socket}",
            resolver = at("resolv.conf"),
            data = at("data"),
            socket = self.engine(),
        );
        let log = fs::File::create(at("log")).unwrap().into_file();
        let engine = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "nsenter"])
            .arg(format!("--net=/run/netns/{}", self.here))
            .args(["unshare", "--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.push(engine);
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let ended = self.running.last_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(60),
                "no engine ({ended:?}): {}",
                fs::read_to_string(at("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
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
        for mut child in self.running.drain(..).rev() {
            // The engine takes its mounts and containers along.
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
