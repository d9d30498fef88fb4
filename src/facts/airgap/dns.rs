//! Questions about names, as far as a probe needs them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const PORT: u16 = 53;
const HEADER: usize = 12;
/// Address records of the internet.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// Asks `resolver` for the IPv4 address of `name`: `None` where it says that
/// there is none.
///
/// # Errors
///
/// Nobody answers, or the question cannot be sent.
pub(super) fn lookup(resolver: IpAddr, name: &str, limit: Duration) -> io::Result<Option<IpAddr>> {
    let any: IpAddr = if resolver.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        [0_u16; 8].into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(SocketAddr::new(resolver, PORT))?;
    socket.set_read_timeout(Some(limit))?;
    socket.send(&question(7, name))?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(address_in(&answer[..length]).map(IpAddr::V4))
}

/// A question for the IPv4 address of a name.
pub(super) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(id.to_be_bytes());
    // Recursion is wanted; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let label = &label.as_bytes()[..label.len().min(63)];
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label);
    }
    message.push(0);
    message.extend(A_IN);
    message
}

/// The name that a message asks for; `None` for an answer, or no DNS at all.
pub(super) fn asked(message: &[u8]) -> Option<String> {
    let is_question = message.get(2)? & 0xf8 == 0 && message.get(4..6)? == [0, 1];
    if !is_question {
        return None;
    }
    let (name, end) = name_at(message, HEADER)?;
    message.get(end..end + 4)?;
    Some(name)
}

fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at..at + length)?;
                if !label.iter().all(u8::is_ascii_graphic) {
                    return None;
                }
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += length;
            }
            _ => return None,
        }
    }
    Some((labels.join("."), at))
}

fn address_in(answer: &[u8]) -> Option<Ipv4Addr> {
    let count = u16::from_be_bytes(answer.get(6..8)?.try_into().ok()?);
    let (_, mut at) = name_at(answer, HEADER)?;
    at += 4;
    for _ in 0..count {
        at = skip_name(answer, at)?;
        let kind = answer.get(at..at + 4)?;
        let length = answer.get(at + 8..at + 10)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let data = answer.get(at + 10..at + 10 + length)?;
        if kind == A_IN {
            return Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        at += 10 + length;
    }
    None
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + length,
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_read_back_and_an_answer_understood() {
        let question = question(9, "llm.example.com");
        assert_eq!(asked(&question).as_deref(), Some("llm.example.com"));
        let mut answer = question.clone();
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, 2);
        assert_eq!(asked(&answer), None);
        // An alias first, then the address.
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        assert_eq!(address_in(&answer), Some([192, 0, 2, 1].into()));
        assert_eq!(asked(b"GET / HTTP/1.1\r\n"), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(bytes: Vec<u8>) {
            let _ = asked(&bytes);
            let _ = address_in(&bytes);
        }
    }
}
