//! What containers try on their own while somebody uses them: every question
//! about a name and every connection that is begun.
//!
//! Two sources, since neither sees all. A packet socket inside the container's
//! network sees what is sent, also over loopback. A connect that finds nobody
//! behind its route sends nothing, but waits in the kernel's table of sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use jiff::Timestamp;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket};
use serde::Serialize;

use super::dns;
use super::namespace::{Namespace, SYN_SENT, sockets};

/// Time between two looks at the table of sockets: shorter than the kernel
/// looks for a neighbour that is not there.
const PERIOD: Duration = Duration::from_millis(50);
/// All kinds of packets, as the kernel wants the number.
const ALL_PACKETS: u32 = 0x0300;
/// More than a question about a name.
const SNAPSHOT: usize = 600;

/// Something that a container tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Tried {
    /// It asked for the address of a name.
    Question {
        name: String,
        /// Whom it asked.
        server: IpAddr,
    },
    /// It began a TCP connection.
    Tcp { address: IpAddr, port: u16 },
    /// It sent a datagram.
    Udp { address: IpAddr, port: u16 },
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Question { name, server } => write!(f, "asked {server} for {name}"),
            Self::Tcp { address, port } => write!(f, "TCP to {address} port {port}"),
            Self::Udp { address, port } => write!(f, "UDP to {address} port {port}"),
        }
    }
}

/// When something was seen, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Times {
    #[cfg_attr(test, schemars(with = "String"))]
    pub first: Timestamp,
    #[cfg_attr(test, schemars(with = "String"))]
    pub last: Timestamp,
    /// Packets and looks in which it was seen.
    pub count: u64,
}

/// All that one container tried, in a time.
pub type Watched = BTreeMap<Tried, Times>;

/// Most different things that are kept of one container.
const MOST: usize = 1000;

/// Most packets that are read after the end of the watch.
const MOST_LATE: usize = 10_000;

/// Watches a container until `stop`. `own` are its addresses; drops `ready`
/// as soon as nothing escapes it any more.
///
/// # Errors
///
/// In words: its network cannot be entered or watched.
pub fn watch(
    namespace: &Namespace,
    own: &BTreeSet<IpAddr>,
    stop: &AtomicBool,
    ready: Sender<()>,
) -> Result<Watched, String> {
    namespace.enter(|| {
        let socket = packets().map_err(|error| format!("cannot watch its packets: {error}"))?;
        drop(ready);
        watch_here(&socket, namespace, own, stop)
    })?
}

fn watch_here(
    socket: &OwnedFd,
    namespace: &Namespace,
    own: &BTreeSet<IpAddr>,
    stop: &AtomicBool,
) -> Result<Watched, String> {
    let mut seen = Watched::new();
    let mut buffer = [0; SNAPSHOT];
    let mut looked = Timestamp::UNIX_EPOCH;
    let mut late = 0;
    while late < MOST_LATE {
        let now = Timestamp::now();
        let is_over = stop.load(Ordering::Relaxed);
        late += usize::from(is_over);
        match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => {
                if let Some(tried) = tried(&buffer[..length], own) {
                    keep(&mut seen, tried, now);
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if is_over => break,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot watch its packets: {error}")),
        }
        if now.duration_since(looked).unsigned_abs() >= PERIOD {
            looked = now;
            for name in ["net/tcp", "net/tcp6"] {
                let table = match namespace.table(name) {
                    Ok(table) => table,
                    // A kernel without IPv6 has no table of it.
                    Err(_) if name == "net/tcp6" => continue,
                    Err(error) => return Err(format!("cannot watch its connects: {error}")),
                };
                let begun = sockets(&table).filter(|socket| socket.state == SYN_SENT);
                for (address, port) in begun.map(|socket| socket.remote) {
                    keep(&mut seen, Tried::Tcp { address, port }, now);
                }
            }
        }
    }
    Ok(seen)
}

fn packets() -> rustix::io::Result<OwnedFd> {
    let all = NonZeroU32::new(ALL_PACKETS).map(Protocol::from_raw);
    let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, all)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PERIOD))?;
    Ok(socket)
}

fn keep(seen: &mut Watched, tried: Tried, now: Timestamp) {
    if let Some(times) = seen.get_mut(&tried) {
        times.last = now;
        times.count += 1;
    } else if seen.len() < MOST {
        let times = Times {
            first: now,
            last: now,
            count: 1,
        };
        seen.insert(tried, times);
    }
}

/// What a packet is the beginning of, if the container sent it: a question
/// about a name, a TCP connection, or a datagram.
fn tried(packet: &[u8], own: &BTreeSet<IpAddr>) -> Option<Tried> {
    let (source, address, protocol, rest) = ends(packet)?;
    if !source.is_loopback() && !own.contains(&source) {
        return None;
    }
    let port = u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?);
    match protocol {
        TCP => {
            let is_first = rest.get(13)? & 0x12 == 0x02;
            is_first.then_some(Tried::Tcp { address, port })
        }
        UDP => match dns::asked(rest.get(8..)?) {
            Some(name) => Some(Tried::Question {
                name,
                server: address,
            }),
            // Answers of the engine's resolver come over loopback.
            None if address.is_loopback() || source.is_loopback() => None,
            None => Some(Tried::Udp { address, port }),
        },
        _ => None,
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Source, destination, protocol and what is behind the header.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| {
                let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(bytes)))
            };
            // Only the first fragment has ports.
            let is_later = packet.get(6)? & 0x1f != 0 || *packet.get(7)? != 0;
            if is_later {
                return None;
            }
            let length = usize::from(packet[0] & 0x0f) * 4;
            Some((
                address(12)?,
                address(16)?,
                *packet.get(9)?,
                packet.get(length..)?,
            ))
        }
        6 => {
            let address = |at: usize| {
                let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(bytes)))
            };
            Some((
                address(8)?,
                address(24)?,
                *packet.get(6)?,
                packet.get(40..)?,
            ))
        }
        _ => None,
    }
}

/// Where this process connects to, so far as it is seen while it is watched.
///
/// # Errors
///
/// In words: the tables of its own sockets cannot be read.
pub fn watch_self(stop: &AtomicBool) -> Result<BTreeSet<(IpAddr, u16)>, String> {
    let mut seen = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        look_at_self(&mut seen)
            .map_err(|error| format!("cannot see the connections of lfctl: {error}"))?;
        std::thread::sleep(PERIOD);
    }
    Ok(seen)
}

fn look_at_self(seen: &mut BTreeSet<(IpAddr, u16)>) -> std::io::Result<()> {
    let mut own = BTreeSet::new();
    for entry in fs_err::read_dir("/proc/self/fd")? {
        // One that was closed meanwhile is not there any more.
        let Ok(link) = fs_err::read_link(entry?.path()) else {
            continue;
        };
        let link = link.to_string_lossy().into_owned();
        let inode = link
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        own.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    let mut table = fs_err::read_to_string("/proc/net/tcp")?;
    table.push_str(&fs_err::read_to_string("/proc/net/tcp6").unwrap_or_default());
    let connected = sockets(&table).filter(|socket| own.contains(&socket.inode));
    seen.extend(
        connected
            .map(|socket| socket.remote)
            .filter(|remote| remote.1 != 0),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend(from);
        packet.extend(to);
        packet.extend(rest);
        packet
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut rest = vec![0x9c, 0x40, 0x01, 0xbb];
        rest.extend([0; 9]);
        rest.push(flags);
        rest
    }

    #[test]
    fn only_what_the_container_begins_counts() {
        const OWN: [u8; 4] = [172, 18, 0, 2];
        const OUT: [u8; 4] = [192, 0, 2, 7];
        const HERE: [u8; 4] = [127, 0, 0, 11];
        let own = BTreeSet::from([IpAddr::from(OWN)]);
        let see = |packet: Vec<u8>| tried(&packet, &own);
        let out = Tried::Tcp {
            address: OUT.into(),
            port: 443,
        };
        assert_eq!(see(packet(OWN, OUT, TCP, &tcp(0x02))), Some(out));
        // An answer, a later packet, one that comes in.
        assert_eq!(see(packet(OWN, OUT, TCP, &tcp(0x12))), None);
        assert_eq!(see(packet(OWN, OUT, TCP, &tcp(0x10))), None);
        assert_eq!(see(packet(OUT, OWN, TCP, &tcp(0x02))), None);
        let mut question = vec![0x9c, 0x40, 0x9c, 0x41, 0, 0, 0, 0];
        question.extend(dns::question(3, "evil.example"));
        let asked = Tried::Question {
            name: "evil.example".to_owned(),
            server: HERE.into(),
        };
        assert_eq!(
            see(packet([127, 0, 0, 1], HERE, UDP, &question)),
            Some(asked)
        );
        let datagram = [0x9c, 0x40, 0, 123, 0, 0, 0, 0, 1, 2, 3];
        let sent = Tried::Udp {
            address: OUT.into(),
            port: 123,
        };
        assert_eq!(see(packet(OWN, OUT, UDP, &datagram)), Some(sent));
        assert_eq!(see(packet([127, 0, 0, 1], HERE, UDP, &datagram)), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(bytes: Vec<u8>) {
            let _ = tried(&bytes, &BTreeSet::new());
        }
    }
}
