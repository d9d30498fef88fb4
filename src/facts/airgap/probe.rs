//! Attempts to leave a container: TCP, UDP and DNS, to names and addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::dns;
use super::icmp;
use super::namespace::Namespace;

/// How long an attempt may take: longer than any way out takes to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// How it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A TCP connect.
    Tcp,
    /// A datagram, and whether anything comes back.
    Udp,
    /// A question about the name, to the container's own resolver.
    Dns,
    /// An echo request; the port means nothing.
    Icmp,
}

/// What the target stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A host that the stack is known to call.
    CallHome,
    /// A public address.
    Public,
    /// A private address that nobody of the stack has.
    Private,
    /// A cloud's metadata.
    Metadata,
    /// An address of this host.
    Host,
    /// A name outside.
    Name,
}

/// Something to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    /// What it stands for.
    pub kind: Kind,
    /// How it is tried.
    pub protocol: Protocol,
    /// Name or address.
    pub host: String,
    pub port: u16,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Somebody took the connection, or answered.
    Reached,
    /// Somebody refused it: the packet arrived.
    Refused,
    /// It ended inside the container, on loopback.
    Loopback,
    NoRoute,
    /// Nobody answered.
    Silent,
    /// No address for the name.
    NoName,
    /// Anything else, see `detail`.
    Failed,
}

impl Ending {
    /// Whether a packet came out and somebody answered it.
    pub fn left(self) -> bool {
        matches!(self, Self::Reached | Self::Refused)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reached => "REACHED",
            Self::Refused => "ANSWERED (refused)",
            Self::Loopback => "kept on loopback",
            Self::NoRoute => "no route",
            Self::Silent => "no answer",
            Self::NoName => "no such name",
            Self::Failed => "failed",
        })
    }
}

/// An attempt and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// What was tried.
    #[serde(flatten)]
    pub target: Target,
    /// How it ended.
    pub ending: Ending,
    /// The system's words, where there are any.
    pub detail: Option<String>,
    /// When it began.
    #[cfg_attr(test, schemars(with = "String"))]
    pub at: Timestamp,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Target {
            protocol,
            host,
            port,
            ..
        } = &self.target;
        match protocol {
            Protocol::Tcp => write!(f, "TCP {host} port {port}")?,
            Protocol::Udp => write!(f, "UDP {host} port {port}")?,
            Protocol::Dns => write!(f, "DNS {host}")?,
            Protocol::Icmp => write!(f, "ICMP {host}")?,
        }
        let (ending, at) = (self.ending, self.at);
        write!(f, ": {ending} after {} ms at {at:.0}", self.elapsed_ms)
    }
}

/// Makes all attempts from inside, at once.
///
/// # Errors
///
/// In words: the namespace cannot be entered.
pub fn attempts(
    namespace: &Namespace,
    resolvers: &[IpAddr],
    targets: &[Target],
) -> Result<Vec<Attempt>, String> {
    namespace
        .enter(|| {
            std::thread::scope(|scope| {
                let running: Vec<_> = targets
                    .iter()
                    .map(|target| scope.spawn(|| attempt(namespace, resolvers, target)))
                    .collect();
                running
                    .into_iter()
                    .filter_map(|one| one.join().ok())
                    .collect()
            })
        })
        .and_then(|all: Vec<Attempt>| {
            // One that is missing must not count as one that failed.
            (all.len() == targets.len())
                .then_some(all)
                .ok_or_else(|| "a probe broke off".to_owned())
        })
}

fn attempt(namespace: &Namespace, resolvers: &[IpAddr], target: &Target) -> Attempt {
    let (at, begun) = (Timestamp::now(), Instant::now());
    let (ending, detail) = match target.protocol {
        Protocol::Dns => ask(resolvers, &target.host),
        Protocol::Tcp | Protocol::Udp | Protocol::Icmp => {
            match address(namespace, resolvers, &target.host) {
                None => (Ending::NoName, None),
                Some(ip) => reach(target.protocol, SocketAddr::new(ip, target.port)),
            }
        }
    };
    Attempt {
        target: target.clone(),
        ending,
        detail,
        at,
        elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn address(namespace: &Namespace, resolvers: &[IpAddr], host: &str) -> Option<IpAddr> {
    host.parse()
        .ok()
        .or_else(|| namespace.in_hosts_file(host))
        .or_else(|| {
            resolvers
                .iter()
                .find_map(|resolver| dns::lookup(*resolver, host, LIMIT).ok()?)
        })
}

fn ask(resolvers: &[IpAddr], name: &str) -> (Ending, Option<String>) {
    let mut ending = (Ending::NoName, None);
    for resolver in resolvers {
        ending = match dns::lookup(*resolver, name, LIMIT) {
            Ok(Some(address)) => return (Ending::Reached, Some(format!("it is {address}"))),
            Ok(None) => (Ending::NoName, None),
            Err(error) => failed(&error),
        };
    }
    ending
}

fn reach(protocol: Protocol, address: SocketAddr) -> (Ending, Option<String>) {
    let result = match protocol {
        Protocol::Udp => datagram(address),
        Protocol::Icmp => icmp::echo(address.ip(), LIMIT),
        Protocol::Tcp | Protocol::Dns => TcpStream::connect_timeout(&address, LIMIT).map(drop),
    };
    let (ending, detail) = match result {
        Ok(()) => (Ending::Reached, None),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (Ending::Refused, None),
        Err(error) => failed(&error),
    };
    if ending.left() && address.ip().is_loopback() {
        return (Ending::Loopback, detail);
    }
    (ending, detail)
}

fn datagram(address: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = if address.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        [0_u16; 8].into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(LIMIT))?;
    // A question, so that a name server there answers.
    socket.send(&dns::question(1, "example.com"))?;
    socket.recv(&mut [0; 512]).map(drop)
}

fn failed(error: &std::io::Error) -> (Ending, Option<String>) {
    let ending = match error.kind() {
        ErrorKind::ConnectionRefused => Ending::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Ending::Silent,
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied => Ending::NoRoute,
        _ => Ending::Failed,
    };
    (ending, Some(error.to_string()))
}
