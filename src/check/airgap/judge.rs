//! What of the evidence is a way out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::known::Known;
use super::proof::{About, Class, Leak, Proof, SCHEMA, Sighting, Verdict};
use crate::facts::Subject;
use crate::facts::airgap::{Attempt, Protocol, Seen, Sightings, Times, Tried};

/// Judges what was seen.
pub fn judge(
    subject: &Subject,
    containers: Vec<Seen>,
    sightings: Sightings,
    about: About,
) -> Proof {
    let known = Known::of(subject, &containers);
    let mut findings: Vec<_> = containers
        .iter()
        .flat_map(|seen| reached(subject, seen))
        .collect();
    let mut unseen: Vec<_> = containers
        .iter()
        .filter_map(|seen| Some(format!("{}: {}", seen.service, seen.unseen.as_ref()?)))
        .collect();
    let (by_service, own) = sightings;
    let mut watched = Vec::new();
    for (service, seen) in by_service {
        let Ok(seen) = seen.map_err(|why| unseen.push(format!("{service}: {why}"))) else {
            continue;
        };
        watched.extend(seen.into_iter().filter_map(|(tried, times)| {
            Some(Sighting {
                class: known.class(&service, &tried)?,
                service: service.clone(),
                tried,
                times,
            })
        }));
    }
    let unknown = watched.iter().filter(|one| one.class == Class::Unknown);
    findings.extend(unknown.map(|one| by_itself(&one.service, &one.tried, &one.times)));
    let own = own.unwrap_or_else(|why| {
        unseen.push(why);
        BTreeSet::new()
    });
    findings.extend(own_leaks(&known, &own));
    let verdict = match (findings.is_empty(), unseen.is_empty()) {
        (false, _) => Verdict::Open,
        (true, false) => Verdict::NotProven,
        (true, true) => Verdict::Proven,
    };
    Proof {
        schema: SCHEMA,
        verdict,
        findings,
        unseen,
        about,
        routes: subject.routes.clone(),
        containers,
        watched,
        own_connections: own
            .iter()
            .map(|(ip, port)| format!("{ip} port {port}"))
            .collect(),
    }
}

/// What a container could reach, and networks that it should not be on.
fn reached(subject: &Subject, seen: &Seen) -> Vec<Leak> {
    let allowed = subject.networks_of(&seen.service);
    let other = seen.networks.keys().filter(|name| !allowed.contains(*name));
    let other = other.map(|network| Leak {
        service: seen.service.clone(),
        what: format!("is on network {network}, which is not its own"),
        target: None,
        port: None,
        at: None,
    });
    let left = seen.attempts.iter().filter(|attempt| attempt.ending.left());
    let left = left.map(|attempt| came_out(&seen.service, attempt));
    other.chain(left).collect()
}

fn came_out(service: &str, attempt: &Attempt) -> Leak {
    let target = &attempt.target;
    let has_port = matches!(target.protocol, Protocol::Tcp | Protocol::Udp);
    Leak {
        service: service.to_owned(),
        what: attempt.to_string(),
        target: Some(target.host.clone()),
        port: has_port.then_some(target.port),
        at: Some(attempt.at),
    }
}

fn by_itself(service: &str, tried: &Tried, times: &Times) -> Leak {
    let (target, port) = match tried {
        Tried::Question { name, .. } => (name.clone(), None),
        Tried::Tcp { address, port } | Tried::Udp { address, port } => {
            (address.to_string(), Some(*port))
        }
    };
    let (first, count) = (times.first, times.count);
    Leak {
        service: service.to_owned(),
        what: format!("{tried} by itself, first at {first:.0}, seen {count} times"),
        target: Some(target),
        port,
        at: Some(first),
    }
}

fn own_leaks(known: &Known<'_>, own: &BTreeSet<(IpAddr, u16)>) -> Vec<Leak> {
    let outside = own.iter().filter(|(address, _)| !known.is_inside(*address));
    let leak = |(address, port): &(IpAddr, u16)| Leak {
        service: "lfctl".to_owned(),
        what: format!("connected to {address} port {port}"),
        target: Some(address.to_string()),
        port: Some(*port),
        at: None,
    };
    outside.map(leak).collect()
}
