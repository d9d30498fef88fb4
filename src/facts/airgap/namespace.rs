//! The network of a running container, seen by a thread of this process.
//!
//! A thread may move into another network namespace on its own: what it then
//! opens is opened by the container, with its routes and firewall, and needs
//! no program in its image. That takes root, and the engine on this host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Serialize;

/// A container's network namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    process: PathBuf,
}

/// What a container's own kernel tables say of its network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Inside {
    /// Its addresses but loopback.
    pub addresses: BTreeSet<IpAddr>,
    /// Where IPv4 packets to anywhere would go; `None` without such a route.
    pub default_route: Option<Ipv4Addr>,
    /// Whom it asks for names.
    pub resolvers: Vec<IpAddr>,
}

impl Namespace {
    /// That of the process `pid`.
    ///
    /// # Errors
    ///
    /// In words: the process cannot be seen from here, or shares the network
    /// of this host.
    pub fn of(pid: Option<i64>) -> Result<Self, String> {
        let pid = pid
            .filter(|pid| *pid > 0)
            .ok_or("the container does not run")?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        let link = |path: PathBuf| {
            fs_err::read_link(path).map_err(|error| format!("cannot enter its network: {error}"))
        };
        if link(process.join("ns/net"))? == link("/proc/self/ns/net".into())? {
            return Err("it is on the network of the host itself".to_owned());
        }
        Ok(Self { process })
    }

    /// Runs `work` in a thread that is in the namespace, with all threads that
    /// it starts.
    ///
    /// # Errors
    ///
    /// In words: the namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let inside = || {
            let link = fs_err::File::open(self.process.join("ns/net"))?;
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        let entered: Result<std::io::Result<T>, _> =
            std::thread::scope(|scope| scope.spawn(inside).join());
        entered
            .map_err(|_| "the probe broke off".to_owned())?
            .map_err(|error| format!("cannot enter its network: {error}"))
    }

    /// One of the kernel's tables, such as `net/tcp`.
    pub(super) fn table(&self, name: &str) -> std::io::Result<String> {
        fs_err::read_to_string(self.process.join(name))
    }

    /// What it knows of the network.
    ///
    /// # Errors
    ///
    /// In words: one of its tables cannot be read.
    pub fn look(&self) -> Result<Inside, String> {
        let read = |name: &str| self.table(name).map_err(|error| error.to_string());
        let mut addresses = local_v4(&read("net/fib_trie")?);
        addresses.extend(local_v6(&read("net/if_inet6").unwrap_or_default()));
        Ok(Inside {
            addresses,
            default_route: default_route(&read("net/route")?),
            resolvers: resolvers(&read("root/etc/resolv.conf")?),
        })
    }

    /// The address that its hosts file gives a name.
    pub(super) fn in_hosts_file(&self, name: &str) -> Option<IpAddr> {
        let hosts = self.table("root/etc/hosts").ok()?;
        hosts.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|word| word.eq_ignore_ascii_case(name))
                .then_some(address)
        })
    }
}

/// Addresses of this host but loopback.
///
/// # Errors
///
/// The kernel's tables cannot be read.
pub fn addresses_of_host() -> std::io::Result<BTreeSet<IpAddr>> {
    let mut addresses = local_v4(&fs_err::read_to_string("/proc/net/fib_trie")?);
    // Absent where the kernel has no IPv6.
    let v6 = fs_err::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    addresses.extend(local_v6(&v6));
    Ok(addresses)
}

/// TCP ports on which something listens beyond loopback.
///
/// # Errors
///
/// The kernel's tables cannot be read.
pub(super) fn listening() -> std::io::Result<BTreeSet<u16>> {
    let mut text = fs_err::read_to_string("/proc/net/tcp")?;
    text.push_str(&fs_err::read_to_string("/proc/net/tcp6").unwrap_or_default());
    let sockets = sockets(&text);
    Ok(sockets
        .filter(|socket| socket.state == LISTEN && !socket.local.0.is_loopback())
        .map(|socket| socket.local.1)
        .collect())
}

fn local_v4(trie: &str) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.ends_with("host LOCAL")
            && let Some(address) = last
            && !address.is_loopback()
        {
            found.insert(IpAddr::V4(address));
        }
    }
    found
}

fn local_v6(table: &str) -> BTreeSet<IpAddr> {
    let addresses = table.lines().filter_map(|line| {
        let bits = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(Ipv6Addr::from(bits))
    });
    // A link-local address needs an interface beside it, which no probe has.
    addresses
        .filter(|address| !address.is_loopback() && !address.is_unicast_link_local())
        .map(IpAddr::V6)
        .collect()
}

fn default_route(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["00000000", gateway] = words.get(1..3)? else {
            return None;
        };
        let bits = u32::from_str_radix(gateway, 16).ok()?;
        Some(Ipv4Addr::from(bits.to_le_bytes()))
    })
}

fn resolvers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf.lines();
    lines
        .filter_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok())
        .collect()
}

const LISTEN: u8 = 0x0a;
/// A connect that nobody answered yet.
pub(super) const SYN_SENT: u8 = 0x02;

/// One line of the kernel's table of TCP sockets.
pub(super) struct Socket {
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    pub(super) state: u8,
    pub(super) inode: u64,
}

/// The sockets of `net/tcp` or `net/tcp6`.
pub(super) fn sockets(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        Some(Socket {
            local: end(words.get(1)?)?,
            remote: end(words.get(2)?)?,
            state: u8::from_str_radix(words.get(3)?, 16).ok()?,
            inode: words.get(9)?.parse().ok()?,
        })
    })
}

/// `0100007F:0050`, in the processor's own order of bytes, word by word.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ipv6Addr::from(bytes).to_canonical(),
        Err(_) => IpAddr::from(<[u8; 4]>::try_from(bytes.as_slice()).ok()?),
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    \x20    |-- 127.0.0.1\n        /32 host LOCAL\n\
                    \x20    |-- 172.18.0.2\n        /32 host LOCAL\n\
                    \x20    |-- 172.18.255.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), ["172.18.0.2".parse().unwrap()].into());
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
                  fd000000000000000000000000000002 05 40 00 80     eth0\n\
                  fe80000000000000004212fffe000002 05 40 20 80     eth0\n";
        assert_eq!(local_v6(v6), ["fd00::2".parse().unwrap()].into());
        let route = "Iface\tDestination\tGateway \tFlags\n\
                     eth0\t00000000\t010012AC\t0003\neth0\t000012AC\t00000000\t0001\n";
        assert_eq!(default_route(route), Some([172, 18, 0, 1].into()));
        assert_eq!(default_route("Iface\n"), None);
        let conf = "# nameserver 9.9.9.9\nnameserver 127.0.0.11\noptions timeout:1\n";
        assert_eq!(resolvers(conf), ["127.0.0.11".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn sockets_are_read_with_both_ends() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n\
   1: 020012AC:A000 010200C0:01BB 02 00000000:00000000 00:00000000 00000000     0        0 78 1\n\
   2: 0000000000000000FFFF0000020012AC:A000 0000000000000000FFFF0000010200C0:01BB 02 00000000:00000000 00:00000000 00000000     0        0 79 1\n";
        let sockets: Vec<_> = sockets(table).collect();
        assert_eq!(sockets.len(), 3);
        assert_eq!((sockets[0].state, sockets[0].local.1), (LISTEN, 8080));
        assert!(sockets[0].local.0.is_loopback());
        for socket in &sockets[1..] {
            assert_eq!(socket.remote, ("192.0.2.1".parse().unwrap(), 443));
            assert_eq!(socket.state, SYN_SENT);
        }
        assert_eq!(sockets[2].inode, 79);
    }
}
