//! Connects from inside a container, to see with its eyes that nothing leaves.
//!
//! The attempts are made by the container's own Node, in its own network
//! namespace with its own resolver, all at once. What counts is not only that
//! they fail but how: refused, no such name and no route take milliseconds,
//! dropped packets take ten seconds on every page load.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::ContainerEngine;
use crate::langfuse::query::{QueryError, exec};
use crate::stack::CallHome;
use crate::sys::text::one_line;

/// How long one attempt may take, in milliseconds: longer than any way out
/// takes to answer. Where the engine seals a network by dropping packets, every
/// attempt takes this long.
pub const ATTEMPT_LIMIT_MS: u64 = 1000;
/// How long all of them together may take, start of Node included.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// Addresses outside that nobody needs a resolver for: one that is reserved
/// for documentation and one that answers wherever there is a way out.
pub const OUTSIDE_ADDRESSES: [&str; 2] = ["192.0.2.1", "1.1.1.1"];
/// A name outside that is in no hosts entry and always exists.
pub const OUTSIDE_NAME: &str = "example.com";
const OUTSIDE_PORT: u16 = 443;

/// Where to try to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Why it is tried.
    pub why: Why,
}

/// Why an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The stack is known to call it.
    CallHome,
    OutsideAddress,
    OutsideName,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Somebody took the connection.
    Connected,
    /// Refused or reset.
    Refused,
    /// The resolver says there is no such name.
    NameNotFound,
    /// The resolver gave up.
    NameTimedOut,
    /// No route.
    Unreachable,
    /// Packets are dropped.
    TimedOut,
    /// Anything else; see the code.
    Other,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connected => "CONNECTED",
            Self::Refused => "refused",
            Self::NameNotFound => "name not found",
            Self::NameTimedOut => "no answer from the resolver",
            Self::Unreachable => "no route",
            Self::TimedOut => "packets dropped",
            Self::Other => "failed",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// Where to.
    #[serde(flatten)]
    pub target: Target,
    /// How it ended.
    pub ending: Ending,
    /// The system's word for it, such as `ECONNREFUSED`.
    pub code: String,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// What the name resolved to.
    pub address: Option<IpAddr>,
}

impl Attempt {
    /// Whether somebody outside the container took the connection.
    pub fn left(&self) -> bool {
        self.ending == Ending::Connected && !self.address.is_some_and(|ip| ip.is_loopback())
    }

    /// Whether it went to an address and not to a name, so that no hosts entry
    /// could have made it fail at once.
    pub fn is_to_address(&self) -> bool {
        self.target.host.parse::<IpAddr>().is_ok()
    }

    /// Whether a name outside was resolved to an address outside.
    pub fn resolved(&self) -> bool {
        self.target.why == Why::OutsideName && self.address.is_some_and(|ip| !ip.is_loopback())
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Target { host, port, .. } = &self.target;
        write!(f, "{host}:{port} {} in {} ms", self.ending, self.elapsed_ms)?;
        if self.ending == Ending::Other {
            write!(f, " ({})", self.code)?;
        }
        Ok(())
    }
}

/// Everything worth trying for a stack.
pub fn targets(call_home: &[CallHome]) -> Vec<Target> {
    let target = |host: &str, port, why| Target {
        host: host.to_owned(),
        port,
        why,
    };
    call_home
        .iter()
        .map(|call| target(&call.host, call.port, Why::CallHome))
        .chain(OUTSIDE_ADDRESSES.map(|host| target(host, OUTSIDE_PORT, Why::OutsideAddress)))
        .chain([target(OUTSIDE_NAME, OUTSIDE_PORT, Why::OutsideName)])
        .collect()
}

/// Resolves and connects, all targets at once, and prints one line of JSON.
/// Lookups take threads, hence the larger pool. The first address is enough:
/// a hosts entry has one, and a way out needs no second.
const SCRIPT: &str = r"
process.env.UV_THREADPOOL_SIZE = '16';
const dns = require('dns'), net = require('net');
const [limit, targets] = JSON.parse(process.argv[1]);
const attempt = ({ host, port }) => new Promise((done) => {
  const start = process.hrtime.bigint();
  let socket, address = null, over = false;
  const end = (code) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (socket) socket.destroy();
    done({ host, port, code, address, ms: Number((process.hrtime.bigint() - start) / 1000000n) });
  };
  const timer = setTimeout(() => end(address ? 'ETIMEDOUT' : 'EAI_TIMEOUT'), limit);
  dns.lookup(host, (error, found) => {
    if (over) return;
    if (error) return end(error.code || String(error));
    address = found;
    socket = net.connect({ host: found, port });
    socket.on('connect', () => end('CONNECTED'));
    socket.on('error', (error) => end(error.code || String(error)));
  });
});
Promise.all(targets.map(attempt)).then((all) => {
  process.stdout.write(JSON.stringify(all) + '\n', () => process.exit(0));
});
";

/// Tries all targets from inside `container`.
///
/// # Errors
///
/// The container does not run, or has no Node.
pub async fn attempts(
    engine: &impl ContainerEngine,
    container: &str,
    targets: &[Target],
) -> Result<Vec<Attempt>, QueryError> {
    let argument = serde_json::json!([ATTEMPT_LIMIT_MS, targets]).to_string();
    let command = ["node", "-e", SCRIPT, &argument].map(str::to_owned);
    let output = exec(engine, container, &command, EXEC_LIMIT).await?;
    parse(&output, targets).ok_or_else(|| QueryError::Format {
        what: format!("connects from {container}"),
        text: one_line(&output),
    })
}

#[derive(Deserialize)]
struct Printed {
    host: String,
    port: u16,
    code: String,
    address: Option<String>,
    ms: u64,
}

/// `None` unless the text tells of every target in its order: an attempt that
/// is missing must not count as one that failed.
fn parse(text: &str, targets: &[Target]) -> Option<Vec<Attempt>> {
    let line = text.lines().rev().find(|line| line.starts_with('['))?;
    let printed: Vec<Printed> = serde_json::from_str(line).ok()?;
    if printed.len() != targets.len() {
        return None;
    }
    printed
        .into_iter()
        .zip(targets)
        .map(|(printed, target)| {
            (printed.host == target.host && printed.port == target.port).then(|| Attempt {
                target: target.clone(),
                ending: ending(&printed.code),
                code: printed.code,
                elapsed_ms: printed.ms,
                address: printed.address.and_then(|address| address.parse().ok()),
            })
        })
        .collect()
}

fn ending(code: &str) -> Ending {
    match code {
        "CONNECTED" => Ending::Connected,
        "ECONNREFUSED" | "ECONNRESET" => Ending::Refused,
        "ENOTFOUND" | "EAI_NONAME" | "EAI_NODATA" => Ending::NameNotFound,
        "EAI_AGAIN" | "EAI_FAIL" | "EAI_TIMEOUT" => Ending::NameTimedOut,
        "ENETUNREACH" | "EHOSTUNREACH" | "EADDRNOTAVAIL" | "EACCES" | "EPERM" => {
            Ending::Unreachable
        }
        "ETIMEDOUT" => Ending::TimedOut,
        _ => Ending::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_home() -> Vec<Target> {
        targets(&[CallHome {
            host: "langfuse.com".to_owned(),
            port: 443,
            purpose: "update check".to_owned(),
        }])
    }

    fn printed(first: &str, last: &str) -> String {
        format!(
            r#"[{{"host":"langfuse.com","port":443,{first},"ms":1}},
{{"host":"192.0.2.1","port":443,"code":"ENETUNREACH","address":"192.0.2.1","ms":0}},
{{"host":"1.1.1.1","port":443,"code":"ETIMEDOUT","address":"1.1.1.1","ms":3001}},
{{"host":"example.com","port":443,{last},"ms":1002}}]"#
        )
        .replace('\n', "")
    }

    #[test]
    fn a_sealed_container() {
        let text = printed(
            r#""code":"ECONNREFUSED","address":"127.0.0.1""#,
            r#""code":"EAI_AGAIN","address":null"#,
        );
        let attempts = parse(&format!("a warning\n{text}\n"), &call_home()).unwrap();
        let endings: Vec<_> = attempts.iter().map(|attempt| attempt.ending).collect();
        assert_eq!(
            endings,
            [
                Ending::Refused,
                Ending::Unreachable,
                Ending::TimedOut,
                Ending::NameTimedOut
            ]
        );
        assert!(
            !attempts
                .iter()
                .any(|attempt| attempt.left() || attempt.resolved())
        );
        assert_eq!(attempts[0].to_string(), "langfuse.com:443 refused in 1 ms");
    }

    #[test]
    fn a_leak_is_told_from_a_listener_in_the_container() {
        let left = |first: &str| {
            let text = printed(first, r#""code":"ENETUNREACH","address":"93.184.216.34""#);
            let attempts = parse(&text, &call_home()).unwrap();
            assert!(attempts[3].resolved());
            attempts[0].left()
        };
        assert!(left(r#""code":"CONNECTED","address":"76.76.21.21""#));
        assert!(left(r#""code":"CONNECTED","address":null"#));
        assert!(!left(r#""code":"CONNECTED","address":"127.0.0.1""#));
    }

    #[test]
    fn an_attempt_that_is_missing_makes_the_whole_unknown() {
        assert_eq!(parse("[]", &call_home()), None);
        assert_eq!(parse("", &call_home()), None);
        assert_eq!(parse("Error: Cannot find module", &call_home()), None);
        let swapped = printed(r#""code":"ECONNREFUSED""#, r#""code":"EAI_AGAIN""#)
            .replace("langfuse.com", "langfuse.org");
        assert_eq!(parse(&swapped, &call_home()), None);
    }
}
