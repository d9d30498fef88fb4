//! The evidence for "nothing leaves": what each container's network looks like
//! from inside, what it can reach, and what it tries by itself.
//!
//! Everything is looked at from the container's own network namespace, so that
//! an image needs no tools, and a rule that only counts there is seen.

mod dns;
mod icmp;
mod namespace;
mod probe;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::Serialize;

pub use namespace::{Inside, Namespace, addresses_of_host};
pub use probe::{Attempt, Ending, Kind, Protocol, Target, attempts};
pub use watch::{Times, Tried, Watched, watch, watch_self};

use crate::engine::Container;
use crate::stack::CallHome;

/// Most ports of the host that are tried; the canary stands for all others.
const MOST_PORTS: usize = 24;
const PUBLIC: [&str; 4] = [
    "192.0.2.1",
    "1.1.1.1",
    "2001:db8::1",
    "2606:4700:4700::1111",
];
const PRIVATE: [&str; 3] = ["10.255.255.254", "172.31.255.254", "192.168.255.254"];
const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
const NAME: &str = "example.com";

/// What was seen of one container.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// The service, or the container's name.
    pub service: String,
    /// Its addresses by network, as the engine says.
    pub networks: BTreeMap<String, String>,
    /// What its own tables say; absent when they could not be read.
    pub inside: Option<Inside>,
    /// What was tried from inside.
    pub attempts: Vec<Attempt>,
    /// Why something of it could not be seen.
    pub unseen: Option<String>,
}

/// A service of this host on all of its addresses, that answers every
/// caller: any other one on the host would be reached in the same way.
#[derive(Debug)]
pub struct Canary {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Canary {
    /// Listens over TCP and UDP on a free port.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub fn new() -> std::io::Result<Self> {
        let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let udp = UdpSocket::bind(any(0)).or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
        let address = udp.local_addr()?;
        let tcp = TcpListener::bind(address)?;
        udp.set_read_timeout(Some(Duration::from_millis(200)))?;
        tcp.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok((length, from)) = udp.recv_from(&mut [0; 512]) {
                    let _ = udp.send_to(&[0; 1][..length.min(1)], from);
                }
                // The kernel has completed the connect; it gets no answer.
                while let Ok((mut stream, _)) = tcp.accept() {
                    let _ = stream.write_all(b"\n");
                    let _ = stream.read(&mut []);
                }
            }
        });
        Ok(Self {
            port: address.port(),
            stop,
        })
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Everything worth trying from a container.
///
/// # Errors
///
/// The host's own addresses or ports cannot be read.
pub fn targets(call_home: &[CallHome], canary: &Canary) -> std::io::Result<Vec<Target>> {
    let target = |kind, protocol, host: &str, port| Target {
        kind,
        protocol,
        host: host.to_owned(),
        port,
    };
    let mut all = vec![target(Kind::Name, Protocol::Dns, NAME, 53)];
    for call in call_home {
        all.push(target(Kind::CallHome, Protocol::Tcp, &call.host, call.port));
        if call.host.parse::<IpAddr>().is_err() {
            all.push(target(Kind::CallHome, Protocol::Dns, &call.host, 53));
        }
    }
    let fixed = [
        (Kind::Public, PUBLIC.as_slice()),
        (Kind::Private, PRIVATE.as_slice()),
        (Kind::Metadata, METADATA.as_slice()),
    ];
    for (kind, hosts) in fixed {
        for host in hosts {
            let port = if kind == Kind::Metadata { 80 } else { 443 };
            all.push(target(kind, Protocol::Tcp, host, port));
            all.push(target(kind, Protocol::Udp, host, 53));
            all.push(target(kind, Protocol::Icmp, host, 0));
        }
    }
    let ports = namespace::listening()?;
    for address in addresses_of_host()? {
        let host = address.to_string();
        all.push(target(Kind::Host, Protocol::Udp, &host, canary.port));
        all.push(target(Kind::Host, Protocol::Udp, &host, 53));
        all.push(target(Kind::Host, Protocol::Icmp, &host, 0));
        all.push(target(Kind::Host, Protocol::Tcp, &host, canary.port));
        for port in ports
            .iter()
            .filter(|port| **port != canary.port)
            .take(MOST_PORTS)
        {
            all.push(target(Kind::Host, Protocol::Tcp, &host, *port));
        }
    }
    Ok(all)
}

/// Looks at a container from inside, and tries `targets`.
pub fn see(service: &str, container: &Container, targets: &[Target]) -> Seen {
    let mut seen = Seen {
        service: service.to_owned(),
        networks: container.addresses.clone(),
        inside: None,
        attempts: Vec::new(),
        unseen: None,
    };
    let looked = Namespace::of(container.pid).and_then(|namespace| {
        let inside = namespace.look()?;
        let tried = attempts(&namespace, &inside.resolvers, targets)?;
        Ok((inside, tried))
    });
    match looked {
        Ok((inside, tried)) => {
            seen.inside = Some(inside);
            seen.attempts = tried;
        }
        Err(why) => seen.unseen = Some(why),
    }
    seen
}

/// Watches several containers at once, and lfctl itself.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    running: Vec<(String, std::thread::JoinHandle<Result<Watched, String>>)>,
    own: std::thread::JoinHandle<Result<BTreeSet<(IpAddr, u16)>, String>>,
}

/// What a [`Watch`] saw: by service, and the connections of lfctl.
pub type Sightings = (
    BTreeMap<String, Result<Watched, String>>,
    Result<BTreeSet<(IpAddr, u16)>, String>,
);

impl Watch {
    /// Begins to watch, and returns once all of them are watched.
    pub fn begin(containers: &BTreeMap<String, Container>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        let (ready, all_ready) = channel::<()>();
        for (service, container) in containers {
            let (ended, pid, ready) = (Arc::clone(&stop), container.pid, ready.clone());
            let watching = std::thread::spawn(move || {
                let namespace = Namespace::of(pid)?;
                let own = namespace.look()?.addresses;
                watch(&namespace, &own, &ended, ready)
            });
            running.push((service.clone(), watching));
        }
        let ended = Arc::clone(&stop);
        let own = std::thread::spawn(move || watch_self(&ended));
        drop(ready);
        // Ends when the last sender is gone: that of a watch that runs or failed.
        let _ = all_ready.recv();
        Self { stop, running, own }
    }

    pub fn end(self) -> Sightings {
        self.stop.store(true, Ordering::Relaxed);
        let broke_off = || "the watch broke off".to_owned();
        let seen = self.running.into_iter().map(|(service, watching)| {
            let seen = watching.join().unwrap_or_else(|_| Err(broke_off()));
            (service, seen)
        });
        let seen = seen.collect();
        let own = self.own.join().unwrap_or_else(|_| Err(broke_off()));
        (seen, own)
    }
}
