//! A host on the other side of the engine's networks.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::engine::BUSYBOX;

/// A network namespace behind the host that stands for the outside world: a
/// server on port 80 of an address nobody else has. Needs root.
pub(crate) struct Outside {
    name: String,
    pub(crate) address: String,
    server: Option<std::process::Child>,
}

impl Outside {
    pub(crate) fn new(name: &str) -> Self {
        // 203.0.113.0/24 is set aside for documentation; a /30 of it.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() + MADE.fetch_add(1, Ordering::Relaxed);
        let base = number % 63 * 4;
        let (here, there) = (
            format!("203.0.113.{}/30", base + 1),
            format!("203.0.113.{}", base + 2),
        );
        let (veth, peer) = (format!("lfo{base}"), format!("lfp{base}"));
        ip(&["netns", "add", name]);
        let mut outside = Self {
            name: name.to_owned(),
            address: there.clone(),
            server: None,
        };
        ip(&["link", "add", &veth, "type", "veth", "peer", "name", &peer]);
        ip(&["link", "set", &peer, "netns", name]);
        ip(&["addr", "add", &here, "dev", &veth]);
        ip(&["link", "set", &veth, "up"]);
        ip(&[
            "-n",
            name,
            "addr",
            "add",
            &format!("{there}/30"),
            "dev",
            &peer,
        ]);
        ip(&["-n", name, "link", "set", &peer, "up"]);
        let server = std::process::Command::new("ip")
            .args(["netns", "exec", name, BUSYBOX])
            .args(["nc", "-ll", "-p", "80", "-e", BUSYBOX, "echo", "outside"])
            .spawn()
            .unwrap();
        outside.server = Some(server);
        let target = (there.as_str(), 80);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(target).is_err() {
            assert!(Instant::now() < deadline, "nobody listens on {there}");
            std::thread::sleep(Duration::from_millis(20));
        }
        outside
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        // The link goes with the namespace.
        let _ = std::process::Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

fn ip(args: &[&str]) {
    let output = std::process::Command::new("ip")
        .args(args)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args:?}: {stderr}");
}
