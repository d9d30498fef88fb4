//! What containers may try without being a way out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::proof::Class;
use crate::facts::Subject;
use crate::facts::airgap::{Seen, Tried};
use crate::render::HOST_DIGITS;
use crate::render::egress::Route;
use crate::stack::EGRESS;

/// What containers may try without a word.
pub(super) struct Known<'a> {
    subject: &'a Subject,
    addresses: BTreeSet<IpAddr>,
}

impl<'a> Known<'a> {
    pub(super) fn of(subject: &'a Subject, containers: &[Seen]) -> Self {
        let by_engine = containers.iter().flat_map(|seen| seen.networks.values());
        let mut addresses: BTreeSet<IpAddr> = by_engine
            .filter_map(|address| address.parse().ok())
            .collect();
        let inside = containers.iter().filter_map(|seen| seen.inside.as_ref());
        addresses.extend(inside.flat_map(|inside| inside.addresses.iter().copied()));
        Self { subject, addresses }
    }

    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// `None` for what stays among the containers.
    pub(super) fn class(&self, service: &str, tried: &Tried) -> Option<Class> {
        match tried {
            Tried::Question { name, server } => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                self.class_of_question(service, &name, *server)
            }
            Tried::Tcp { address, port } if address.is_loopback() => {
                let mut calls = self.subject.stack.call_home.iter();
                calls
                    .any(|call| call.port == *port)
                    .then_some(Class::CallHome)
            }
            Tried::Tcp { address, .. } | Tried::Udp { address, .. } if self.is_inside(*address) => {
                None
            }
            Tried::Tcp { address, port } | Tried::Udp { address, port } => {
                Some(self.class_of_address(service, *address, *port))
            }
        }
    }

    fn class_of_question(&self, service: &str, name: &str, server: IpAddr) -> Option<Class> {
        let routes = &self.subject.routes;
        if service == EGRESS {
            // It looks up the targets of the list, wherever the site's DNS is.
            let target = |to: &str| to.rsplit_once(':').is_some_and(|(host, _)| host == name);
            if routes.iter().any(|route| target(&route.to)) {
                return Some(Class::Allowed);
            }
        }
        if !self.is_inside(server) {
            // Whatever it asks for, the question leaves.
            return Some(Class::Unknown);
        }
        if self.is_sibling(name) {
            return None;
        }
        let calls = &self.subject.stack.call_home;
        if calls.iter().any(|call| call.host == name) {
            return Some(Class::CallHome);
        }
        let is_listed = |route: &Route| route.service == service && route.host == name;
        Some(if routes.iter().any(is_listed) {
            Class::Allowed
        } else {
            Class::Unknown
        })
    }

    fn class_of_address(&self, service: &str, address: IpAddr, port: u16) -> Class {
        let host = address.to_string();
        let calls = &self.subject.stack.call_home;
        if calls.iter().any(|call| call.host == host) {
            return Class::CallHome;
        }
        let is_target = |route: &Route| {
            route.to.rsplit_once(':').is_some_and(|(target, to_port)| {
                to_port == port.to_string() && (target == host || target.parse::<IpAddr>().is_err())
            })
        };
        if service == EGRESS && self.subject.routes.iter().any(is_target) {
            Class::Allowed
        } else {
            Class::Unknown
        }
    }

    /// Names of the stack's own containers, and questions about their addresses.
    fn is_sibling(&self, name: &str) -> bool {
        if let Some(address) = name.strip_suffix(".in-addr.arpa") {
            let address = address.rsplit('.').collect::<Vec<_>>().join(".");
            return address.parse().is_ok_and(|address| self.is_inside(address));
        }
        if name == "localhost" {
            return true;
        }
        let mut services = self.subject.stack.services.iter();
        services.any(|service| {
            name == service.name
                || name == self.subject.container(&service.name)
                || is_of_release(name, &service.name)
                || name
                    .strip_prefix(EGRESS)
                    .is_some_and(|rest| rest.strip_prefix('-') == Some(service.name.as_str()))
        })
    }
}

/// Whether it is the name of a service with the hash of its settings, as the
/// gateway knows web.
fn is_of_release(name: &str, service: &str) -> bool {
    let hash = name
        .strip_prefix(service)
        .and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| {
        hash.len() == HOST_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit())
    })
}
