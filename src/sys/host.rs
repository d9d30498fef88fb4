//! What this host is: memory, processors, names, ports.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use fs_err as fs;

/// Port of the discard service.
const DISCARD: u16 = 9;

/// The host as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub hostname: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Machine in the kernel's words, such as `x86_64`.
    pub machine: String,
    /// Physical memory.
    pub memory: Memory,
    /// Processors.
    pub cpu: Cpu,
}

/// Physical memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What can be had without swapping.
    pub available: u64,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// How many the kernel runs.
    pub count: usize,
    /// What all of them can do, in the kernel's words, such as `sse4_2`.
    pub flags: BTreeSet<String>,
}

/// Whether a port can be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// It can.
    Free,
    /// Somebody listens there.
    InUse,
    /// The address is not one of this host's.
    NotLocal,
    /// This user may not.
    Denied,
}

impl Host {
    /// Asks the kernel.
    pub fn read() -> io::Result<Self> {
        let uname = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let memory = parse_meminfo(&fs::read_to_string("/proc/meminfo")?)
            .ok_or_else(|| unreadable("/proc/meminfo"))?;
        let cpu = parse_cpuinfo(&fs::read_to_string("/proc/cpuinfo")?)
            .ok_or_else(|| unreadable("/proc/cpuinfo"))?;
        Ok(Self {
            hostname: text(uname.nodename()),
            kernel: text(uname.release()),
            machine: text(uname.machine()),
            memory,
            cpu,
        })
    }
}

fn unreadable(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{path}` does not say what it should"),
    )
}

/// Reads `/proc/meminfo`. Kernels before 3.14 do not tell what is available;
/// free memory is then the careful answer.
pub fn parse_meminfo(text: &str) -> Option<Memory> {
    let bytes = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let number = value.trim().strip_suffix("kB")?.trim();
            let kibibytes: u64 = number.parse().ok().filter(|_| name == wanted)?;
            kibibytes.checked_mul(1024)
        })
    };
    Some(Memory {
        total: bytes("MemTotal")?,
        available: bytes("MemAvailable").or_else(|| bytes("MemFree"))?,
    })
}

/// Reads `/proc/cpuinfo`. Only flags that every processor has count, since a
/// process may run on any.
pub fn parse_cpuinfo(text: &str) -> Option<Cpu> {
    let mut count = 0;
    let mut flags: Option<BTreeSet<String>> = None;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.trim() {
            "processor" => count += 1,
            // x86 and ARM.
            "flags" | "Features" => {
                let here: BTreeSet<_> = value.split_whitespace().map(str::to_owned).collect();
                flags = Some(match flags {
                    Some(all) => all.intersection(&here).cloned().collect(),
                    None => here,
                });
            }
            _ => {}
        }
    }
    (count > 0).then(|| Cpu {
        count,
        flags: flags.unwrap_or_default(),
    })
}

/// Tries to listen on `address` and lets go at once. An error is one that
/// says nothing about the port, such as too many open files.
pub fn port_free(address: SocketAddr) -> io::Result<PortState> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(PortState::Free),
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => Ok(PortState::InUse),
            io::ErrorKind::AddrNotAvailable => Ok(PortState::NotLocal),
            io::ErrorKind::PermissionDenied => Ok(PortState::Denied),
            _ => Err(error),
        },
    }
}

/// Whether packets to `address` stay on this host.
pub fn is_local(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent: the kernel only says from which address it would be,
    // and that is the same one where the way leads to the host itself. Trying
    // to bind would succeed for any address where the system allows that.
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    address.is_loopback() || source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_addresses_of_this_host_are_local() {
        for local in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        // Addresses that stand for none (RFC 5737, 3849).
        for far in ["198.51.100.7", "203.0.113.7", "2001:db8::1"] {
            assert!(!is_local(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn memory_in_bytes() {
        let text =
            "MemTotal:       24684084 kB\nMemFree:        1000 kB\nMemAvailable:   2000 kB\n";
        assert_eq!(
            parse_meminfo(text),
            Some(Memory {
                total: 24_684_084 * 1024,
                available: 2000 * 1024,
            })
        );
        let old = "MemTotal: 10 kB\nMemFree: 5 kB\n";
        assert_eq!(parse_meminfo(old).unwrap().available, 5 * 1024);
        assert_eq!(parse_meminfo("MemFree: 5 kB\n"), None);
        assert_eq!(parse_meminfo("MemTotal: many kB\nMemFree: 5 kB\n"), None);
    }

    #[test]
    fn only_flags_of_every_processor_count() {
        let text = "processor\t: 0\nmodel name\t: X: Y\nflags\t\t: fpu sse4_2 avx\n\n\
                    processor\t: 1\nflags\t\t: fpu sse4_2\n";
        let cpu = parse_cpuinfo(text).unwrap();
        assert_eq!(cpu.count, 2);
        assert_eq!(cpu.flags.into_iter().collect::<Vec<_>>(), ["fpu", "sse4_2"]);
        let arm = parse_cpuinfo("processor : 0\nFeatures : fp asimd\n").unwrap();
        assert!(arm.flags.contains("asimd"));
        assert_eq!(parse_cpuinfo("flags : fpu\n"), None);
    }

    #[test]
    fn this_host_can_be_read() {
        let host = Host::read().unwrap();
        assert!(host.memory.total >= host.memory.available);
        assert!(host.cpu.count > 0);
        assert!(!host.kernel.is_empty() && !host.machine.is_empty());
    }

    #[test]
    fn ports() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port_free(address).unwrap(), PortState::InUse);
        let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert_eq!(port_free(everywhere).unwrap(), PortState::InUse);
        let elsewhere = SocketAddr::from(([198, 51, 100, 77], 8080));
        assert_eq!(port_free(elsewhere).unwrap(), PortState::NotLocal);
        drop(taken);
        assert_eq!(port_free(address).unwrap(), PortState::Free);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "(.|\\n)*") {
            let _ = parse_meminfo(&text);
            let _ = parse_cpuinfo(&text);
        }
    }
}
