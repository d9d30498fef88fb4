//! How each engine is told to keep containers in. Pure.
//!
//! Docker before 28 leaves a container of an internal network a default route
//! to the bridge, whose own address is the host: every service of the host
//! that listens on all addresses answers there. `inhibit_ipv4` takes that
//! address away; from 28 on there is a mode for it, without the route. Podman
//! has neither, since its resolver listens on the bridge.

use std::collections::HashMap;

use crate::engine::{ContainerSpec, EngineFacts, EngineKind, Reach};

/// Docker that knows networks without an address of the host.
const ISOLATED_MODE: u32 = 28;
/// Docker that takes settings of an interface no longer as a sysctl.
const NO_INTERFACE_SYSCTL: u32 = 27;

/// What an engine must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) kind: EngineKind,
    /// First number of the version.
    pub(super) major: u32,
    pub(super) rootless: bool,
}

impl Dialect {
    pub(super) fn of(facts: &EngineFacts) -> Self {
        let major = facts.version.split('.').next();
        Self {
            kind: facts.kind,
            major: major.and_then(|major| major.parse().ok()).unwrap_or(0),
            rootless: facts.rootless,
        }
    }

    /// Options of a network's driver.
    pub(super) fn network(self, reach: Reach) -> HashMap<String, String> {
        if self.kind == EngineKind::Podman {
            return HashMap::new();
        }
        let options: &[(&str, &str)] = match reach {
            Reach::Siblings if self.major >= ISOLATED_MODE => &[
                ("gateway_mode_ipv4", "isolated"),
                ("gateway_mode_ipv6", "isolated"),
            ],
            Reach::Siblings => &[("inhibit_ipv4", "true")],
            Reach::Published => &[("enable_ip_masquerade", "false")],
            Reach::Outside => &[("enable_ip_masquerade", "true")],
        };
        let option = |(name, value): &(&str, &str)| {
            let name = format!("com.docker.network.bridge.{name}");
            (name, (*value).to_owned())
        };
        options.iter().map(option).collect()
    }

    /// Whom the engine's resolver asks about names that are no sibling's:
    /// nobody. Docker's asks from inside the container, where nobody listens;
    /// Podman's asks from the host, and its own socket may not broadcast.
    pub(super) fn resolver(self) -> String {
        match self.kind {
            EngineKind::Docker => "127.0.0.1".to_owned(),
            EngineKind::Podman => "255.255.255.255".to_owned(),
        }
    }

    /// Makes an address outside fail in 0.15 s instead of 3 where the default
    /// route leads to an address that nobody has.
    pub(super) fn sysctls(self, spec: &ContainerSpec) -> Option<HashMap<String, String>> {
        let has_dead_route = self.kind == EngineKind::Docker
            && self.major < NO_INTERFACE_SYSCTL
            && !self.rootless
            && !spec.networks.is_empty();
        has_dead_route.then(|| {
            let name = "net.ipv4.neigh.eth0.retrans_time_ms".to_owned();
            HashMap::from([(name, "50".to_owned())])
        })
    }
}

#[cfg(test)]
pub(super) const DOCKER: Dialect = Dialect {
    kind: EngineKind::Docker,
    major: 20,
    rootless: false,
};

#[cfg(test)]
mod tests {
    use super::*;
    use EngineKind::{Docker, Podman};

    #[test]
    fn each_engine_is_told_in_its_own_words() {
        let options = |kind, major, reach| {
            let dialect = Dialect {
                kind,
                major,
                ..DOCKER
            };
            let mut options: Vec<_> = dialect.network(reach).into_iter().collect();
            options.sort();
            let short = |(name, value): &(String, String)| {
                let name = name.rsplit('.').next().unwrap_or_default();
                format!("{name}={value}")
            };
            options.iter().map(short).collect::<Vec<_>>().join(" ")
        };
        for (kind, major, reach, wanted) in [
            (Docker, 20, Reach::Siblings, "inhibit_ipv4=true"),
            (Docker, 27, Reach::Siblings, "inhibit_ipv4=true"),
            (
                Docker,
                28,
                Reach::Siblings,
                "gateway_mode_ipv4=isolated gateway_mode_ipv6=isolated",
            ),
            (Docker, 20, Reach::Published, "enable_ip_masquerade=false"),
            (Docker, 29, Reach::Published, "enable_ip_masquerade=false"),
            (Docker, 20, Reach::Outside, "enable_ip_masquerade=true"),
            (Podman, 5, Reach::Siblings, ""),
        ] {
            assert_eq!(options(kind, major, reach), wanted, "{kind} {major}");
        }
    }
}
