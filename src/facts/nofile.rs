//! How many open files the engine may grant a container.
//!
//! An engine with `CAP_SYS_RESOURCE` on the host itself may set any limit up to
//! `fs.nr_open`; any other can pass on what it has.

use std::io;

use fs_err as fs;
use tokio::net::UnixStream;

use super::Fact;
use crate::engine::EngineFacts;

/// Bit of `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u64 = 1 << 24;
/// Ids of a user namespace that is the host's own.
const ALL_IDS: &str = "4294967295";

/// The highest limit that the engine may set.
pub(super) async fn limit(engine: &EngineFacts) -> Fact<u64> {
    match ask(engine).await {
        Ok(limit) => Fact::Known(limit),
        Err(error) => Fact::Unknown(format!("the limit of the engine cannot be seen: {error}")),
    }
}

async fn ask(engine: &EngineFacts) -> io::Result<u64> {
    let unseen = || io::Error::other("its process is not visible from here");
    let peer = UnixStream::connect(&engine.socket).await?.peer_cred()?;
    let pid = peer.pid().filter(|pid| *pid > 0).ok_or_else(unseen)?;
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let nr_open = fs::read_to_string("/proc/sys/fs/nr_open")?;
    let limits = read("limits")?;
    let may_raise =
        !engine.rootless && holds_capability(&read("status")?) && is_host(&read("uid_map")?);
    let limit = if may_raise {
        nr_open.trim().parse().ok()
    } else {
        hard_limit(&limits)
    };
    limit.ok_or_else(unseen)
}

fn holds_capability(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|held| held & SYS_RESOURCE != 0)
}

fn is_host(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", ALL_IDS])
}

fn hard_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        hard => hard.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             unlimited            unlimited            processes\n\
                      Max open files            1024                 20000                files\n";
        assert_eq!(hard_limit(limits), Some(20_000));
        assert_eq!(
            hard_limit(&limits.replace("20000", "unlimited")),
            Some(u64::MAX)
        );
        assert_eq!(hard_limit("Max processes 1 2 x\n"), None);
        assert!(holds_capability(
            "Name:\tdockerd\nCapEff:\t000001ffffffffff\n"
        ));
        assert!(!holds_capability("CapEff:\t000001fffeffffff\n"));
        assert!(!holds_capability("CapPrm:\t000001ffffffffff\n"));
        assert!(is_host("         0          0 4294967295\n"));
        assert!(!is_host("0 100000 65536\n"));
    }
}
