//! Echo requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto};
use rustix::net::{connect, recv, send, socket};

/// Type of a request and of its answer, for IPv4 and IPv6.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// Sends one echo request, and waits for its answer.
///
/// # Errors
///
/// Nobody answers within `limit`, or the request cannot be sent.
pub(super) fn echo(address: IpAddr, limit: Duration) -> io::Result<()> {
    static COUNT: AtomicU16 = AtomicU16::new(1);
    let (family, protocol, (request, answer)) = if address.is_ipv4() {
        (AddressFamily::INET, ipproto::ICMP, ECHO_V4)
    } else {
        (AddressFamily::INET6, ipproto::ICMPV6, ECHO_V6)
    };
    let socket = socket(family, SocketType::RAW, Some(protocol))?;
    connect(&socket, &SocketAddr::new(address, 0))?;
    // Another one than that of the last run, which a firewall may remember.
    let now = jiff::Timestamp::now().as_millisecond().to_ne_bytes();
    let id = COUNT.fetch_add(1, Ordering::Relaxed) ^ u16::from_ne_bytes([now[0], now[1]]);
    send(&socket, &message(request, id), SendFlags::empty())?;
    let deadline = Instant::now() + limit;
    let mut buffer = [0; 256];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        set_socket_timeout(&socket, Timeout::Recv, Some(left))?;
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        if is_answer(&buffer[..length], address, answer, id) {
            return Ok(());
        }
    }
}

/// A request with its checksum, which for IPv6 the kernel makes anew.
fn message(kind: u8, id: u16) -> [u8; 8] {
    let [high, low] = id.to_be_bytes();
    let sum = u32::from(kind) * 256 + u32::from(id) + 1;
    let sum = (sum & 0xffff) + (sum >> 16);
    let [c, d] = u16::try_from(sum).map_or([0; 2], |sum| (!sum).to_be_bytes());
    [kind, 0, c, d, high, low, 0, 1]
}

/// A raw socket gets the IPv4 header too, but no IPv6 header.
fn is_answer(packet: &[u8], address: IpAddr, kind: u8, id: u16) -> bool {
    let header = match packet.first() {
        Some(first) if address.is_ipv4() => usize::from(first & 0x0f) * 4,
        _ => 0,
    };
    let Some(message) = packet.get(header..header + 8) else {
        return false;
    };
    message[0] == kind && message[4..6] == id.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_and_only_its_answer_counts() {
        let request = message(8, 0xfff7);
        let words = request
            .chunks(2)
            .map(|two| u16::from_be_bytes([two[0], two[1]]));
        let sum: u32 = words.map(u32::from).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        let v4 = "192.0.2.1".parse().unwrap();
        let mut packet = vec![0x45; 20];
        packet.extend([0, 0, 0, 0, 0, 9, 0, 1]);
        assert!(is_answer(&packet, v4, 0, 9));
        assert!(!is_answer(&packet, v4, 0, 8));
        assert!(!is_answer(&packet[..24], v4, 0, 9));
        assert!(is_answer(
            &packet[20..],
            "2001:db8::1".parse().unwrap(),
            0,
            9
        ));
    }
}
