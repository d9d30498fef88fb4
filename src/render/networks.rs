//! The networks of an appliance, and which of its services is on which.

use std::collections::BTreeMap;

use super::egress;
use super::names::Names;
use crate::engine::{NetworkSpec, Reach, Resolver};
use crate::host::firewall::bridge_of;
use crate::stack::site::SiteConfig;
use crate::stack::{EGRESS, Service, Stack};

/// Whom a service asks for names that are no sibling's.
pub(super) fn resolver_of(service: &str) -> Resolver {
    if service == EGRESS {
        Resolver::Host
    } else {
        Resolver::Nobody
    }
}

/// The networks of an appliance, the internal one first.
pub fn networks(appliance: &str, site: &SiteConfig) -> Vec<NetworkSpec> {
    let names = Names { appliance };
    let network = |name: String, part: &str, reach| NetworkSpec {
        name,
        owner: names.owner(part),
        bridge: (reach == Reach::Published).then(|| bridge_of(appliance)),
        reach,
    };
    let mut networks = vec![
        network(names.internal(), "internal", Reach::Siblings),
        network(names.edge(), "edge", Reach::Published),
    ];
    let allowed = egress::services(site);
    if !allowed.is_empty() {
        networks.push(network(names.outside(), "outside", Reach::Outside));
    }
    networks.extend(allowed.iter().map(|service| {
        let part = egress::own_name(service);
        network(names.to_egress(service), &part, Reach::Siblings)
    }));
    networks
}

/// Networks of a service, each with its names there.
pub(super) fn networks_of(
    stack: &Stack,
    service: &Service,
    appliance: &str,
    site: &SiteConfig,
) -> Vec<(String, Vec<String>)> {
    let names = Names { appliance };
    let allowed = egress::services(site);
    if service.name == EGRESS {
        let shared = allowed
            .iter()
            .map(|user| (names.to_egress(user), vec![egress::own_name(user)]));
        let outside = [(names.outside(), Vec::new())];
        return shared.chain(outside).collect();
    }
    // Internal first: its resolver is the one that knows the siblings.
    let mut networks = vec![(names.internal(), vec![service.name.clone()])];
    if service.name == stack.langfuse.gateway {
        networks.push((names.edge(), Vec::new()));
    }
    if allowed.contains(&service.name) {
        networks.push((names.to_egress(&service.name), Vec::new()));
    }
    networks
}

/// Names of hosts outside that a service knows the egress container by. Its
/// own resolver must not know them: it asks for the real ones.
pub(super) fn links_of(
    stack: &Stack,
    service: &Service,
    appliance: &str,
    site: &SiteConfig,
) -> BTreeMap<String, Vec<String>> {
    let names = Names { appliance };
    let hosts = egress::hosts(&service.name, site);
    if hosts.is_empty() || stack.service(EGRESS).is_none() {
        return BTreeMap::new();
    }
    let container = names.container(EGRESS);
    let links = hosts.iter().map(|host| format!("{container}:{host}"));
    BTreeMap::from([(names.to_egress(&service.name), links.collect())])
}
