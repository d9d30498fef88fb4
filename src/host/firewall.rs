//! The host's firewall rules for the gateway of an appliance.
//!
//! The host has an address on the edge network because the engine publishes a
//! port there. Without rules, the gateway reaches every service of the host that
//! listens on all addresses, and its packets leave the host. So new connections
//! from the edge network's bridge are dropped; answers pass. No other rule is
//! touched. The rules do not survive a reboot: [`Firewall::restore`] puts them
//! back.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::oci::digest::Digest;
use crate::sys::text::one_line;

const IPV4: &str = "iptables";
const IPV6: &str = "ip6tables";
/// Docker's chain for rules of others.
const DOCKER: &str = "DOCKER-USER";
/// Interfaces of the network namespace that lfctl runs in.
const INTERFACES: &str = "/proc/net/dev";
/// Everything but what belongs to a connection that somebody else opened.
const BEGINS: &str = "INVALID,NEW,UNTRACKED";

/// Characters of the name of a network interface.
const LONGEST_INTERFACE: usize = 15;
/// Where the tools are when `PATH` does not have them.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/sbin"];
/// Seconds to wait for the firewall's lock.
const LOCK: &str = "10";

/// Name of the bridge of an appliance's edge network.
pub fn bridge_of(appliance: &str) -> String {
    let mut name = format!("lf-{}", Digest::of(appliance.as_bytes()).hex());
    name.truncate(LONGEST_INTERFACE);
    name
}

/// Whether new connections of an appliance's gateway are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// They are.
    Closed,
    /// They are not; [`Firewall::restore`] can change that.
    Open,
    /// The bridge is not on this host: the network does not exist or was made
    /// by an older lfctl, or the engine is Podman, rootless or remote.
    NoBridge,
    /// There is no `iptables` on the host.
    NoTool,
    /// Only root can see the rules.
    NotRoot,
}

/// The rules of one appliance.
#[derive(Debug, Clone)]
pub struct Firewall {
    appliance: String,
    bridge: String,
}

impl Firewall {
    /// The rules of this appliance.
    pub fn of(appliance: &str) -> Self {
        Self {
            appliance: appliance.to_owned(),
            bridge: bridge_of(appliance),
        }
    }

    /// Whether they are in force.
    ///
    /// # Errors
    ///
    /// `iptables` cannot be run.
    pub fn wall(&self) -> io::Result<Wall> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Wall::NotRoot);
        }
        if find(IPV4).is_none() {
            return Ok(Wall::NoTool);
        }
        if !has_interface(&fs_err::read_to_string(INTERFACES)?, &self.bridge) {
            return Ok(Wall::NoBridge);
        }
        for rule in self.rules() {
            if !rule.is_in_force()? {
                return Ok(Wall::Open);
            }
        }
        Ok(Wall::Closed)
    }

    /// Puts missing rules in force; returns whether any was missing. Changes
    /// nothing where the bridge is not on this host.
    ///
    /// # Errors
    ///
    /// A rule is refused.
    pub fn restore(&self) -> io::Result<bool> {
        let is_open = self.wall()? == Wall::Open;
        if is_open {
            self.close()?;
        }
        Ok(is_open)
    }

    fn close(&self) -> io::Result<()> {
        for rule in self.rules() {
            if !rule.is_in_force()? {
                accepted(rule.tool, &rule.run("-I")?)?;
            }
        }
        Ok(())
    }

    /// Removes the rules, while the bridge is there.
    ///
    /// # Errors
    ///
    /// A rule cannot be removed.
    pub fn open(&self) -> io::Result<()> {
        if !matches!(self.wall()?, Wall::Open | Wall::Closed) {
            return Ok(());
        }
        for rule in self.rules() {
            while rule.is_in_force()? {
                accepted(rule.tool, &rule.run("-D")?)?;
            }
        }
        Ok(())
    }

    fn rules(&self) -> Vec<Rule> {
        // An engine that leaves the firewall alone, or uses nftables, has no
        // chain of its own for such rules.
        let forward = if has_chain(IPV4, DOCKER) {
            DOCKER
        } else {
            "FORWARD"
        };
        let mut rules = vec![self.rule(IPV4, "INPUT"), self.rule(IPV4, forward)];
        // The engine gives the network no IPv6, but a bridge has a link-local
        // address.
        if has_chain(IPV6, "INPUT") {
            rules.extend(["INPUT", "FORWARD"].map(|chain| self.rule(IPV6, chain)));
        }
        rules
    }

    fn rule(&self, tool: &'static str, chain: &'static str) -> Rule {
        let comment = format!("lfctl:{}", self.appliance);
        let mut words = vec!["-i", &self.bridge];
        if chain != "INPUT" {
            words.extend(["!", "-o", &self.bridge]);
        }
        words.extend(["-m", "conntrack", "--ctstate", BEGINS]);
        words.extend(["-m", "comment", "--comment", &comment, "-j", "DROP"]);
        Rule {
            tool,
            chain,
            words: words.into_iter().map(str::to_owned).collect(),
        }
    }
}

#[derive(Debug)]
struct Rule {
    tool: &'static str,
    chain: &'static str,
    words: Vec<String>,
}

impl Rule {
    fn is_in_force(&self) -> io::Result<bool> {
        Ok(self.run("-C")?.status.success())
    }

    fn run(&self, action: &str) -> io::Result<Output> {
        let mut words = vec!["-w", LOCK, action, self.chain];
        words.extend(self.words.iter().map(String::as_str));
        run(self.tool, &words)
    }
}

fn has_chain(tool: &str, chain: &str) -> bool {
    run(tool, &["-w", LOCK, "-n", "-L", chain]).is_ok_and(|output| output.status.success())
}

/// Whether the kernel's list of interfaces names this one.
fn has_interface(list: &str, name: &str) -> bool {
    let mut names = list.lines().filter_map(|line| line.split_once(':'));
    names.any(|(one, _)| one.trim() == name)
}

/// Where a tool is.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SYSTEM.map(PathBuf::from));
    dirs.map(|dir| dir.join(tool)).find(|tool| tool.is_file())
}

fn run(tool: &str, words: &[&str]) -> io::Result<Output> {
    let tool = find(tool).unwrap_or_else(|| tool.into());
    Command::new(tool).args(words).output()
}

fn accepted(tool: &str, output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = one_line(&String::from_utf8_lossy(&output.stderr));
    Err(io::Error::other(format!("{tool}: {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_appliance_has_a_bridge_of_its_own_that_a_kernel_takes() {
        let long = "a".repeat(30);
        let names = ["rehearsal", "langfuse", &long].map(bridge_of);
        for name in &names {
            assert_eq!(name.len(), LONGEST_INTERFACE, "{name}");
            assert!(name.starts_with("lf-"), "{name}");
        }
        assert_ne!(names[0], names[1]);
        assert_eq!(bridge_of("rehearsal"), names[0]);
    }

    #[test]
    fn new_connections_of_the_gateway_are_dropped_and_nothing_else() {
        let bridge = bridge_of("prod");
        let line = |chain| Firewall::of("prod").rule(IPV4, chain).words.join(" ");
        let begins = "-m conntrack --ctstate INVALID,NEW,UNTRACKED \
                      -m comment --comment lfctl:prod -j DROP";
        assert_eq!(line("INPUT"), format!("-i {bridge} {begins}"));
        assert_eq!(line(DOCKER), format!("-i {bridge} ! -o {bridge} {begins}"));
    }

    #[test]
    fn an_interface_is_found_by_its_whole_name() {
        let list = "Inter-| Receive\n face |bytes\n    lo: 0 0\nlf-0123456789ab: 1 2\n";
        assert!(has_interface(list, "lf-0123456789ab"));
        assert!(!has_interface(list, "lf-0123456789a"));
    }
}
