//! What the site allows out, and whether a setting needs more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::error::Problem;
use super::model::SiteConfig;
use super::refusal::{Refusal, refuse};
use super::rules::refused_variable;
use crate::stack::Stack;

/// Ports of protocols whose first bytes are not TLS, or not the client's.
const NOT_TLS_FIRST: [u16; 12] = [22, 25, 80, 110, 143, 389, 587, 3306, 5432, 6379, 8123, 9000];
/// Variables whose URLs only browsers open.
const FOR_BROWSERS: &str = "LANGFUSE_UI_";

pub(super) fn entry_name(text: &str) -> Result<String, Refusal> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=30).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-')
    {
        Ok(text.to_owned())
    } else {
        Err(refuse(
            "is not a name",
            "write 1 to 30 small letters, digits or `-`",
        ))
    }
}

pub(super) fn target(text: &str) -> Result<(String, u16), Refusal> {
    const EXAMPLE: &str = "write host and port, such as `llm.example.com:443`";
    let wrong = || refuse("is not a host with a port", EXAMPLE);
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if port == 0 {
        return Err(refuse("has port 0", EXAMPLE));
    }
    if host.contains(':') || host.starts_with('[') {
        return Err(refuse(
            "is an IPv6 address",
            "write a name or an IPv4 address",
        ));
    }
    let host = host.to_ascii_lowercase();
    // What ends in a number is an address or a mistake.
    if host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
    {
        return Ok((address(&host)?.to_string(), port));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.split('.').all(is_label) || host == "localhost" {
        return Err(wrong());
    }
    Ok((host, port))
}

pub(super) fn address(text: &str) -> Result<Ipv4Addr, Refusal> {
    let address: Ipv4Addr = text
        .parse()
        .map_err(|_| refuse("is not an IPv4 address", "write it like `10.1.2.3`"))?;
    if address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
    {
        return Err(refuse(
            "is not the address of another host",
            "write one that this host reaches over its network",
        ));
    }
    Ok(address)
}

/// What can be said without the stack definition.
pub(super) fn within(site: &SiteConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let mut ports: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for (index, entry) in site.egress.iter().enumerate() {
        let mut say = |key: &str, refusal| problems.push(problem(site, index, key, refusal));
        if !entry.name.is_empty() && !names.insert(&entry.name) {
            say(
                "name",
                refuse("is the name of another entry", "write another name"),
            );
        }
        if entry.host.is_empty() {
            continue;
        }
        if !targets.insert((entry.alias(), entry.port)) {
            say(
                "to",
                refuse(
                    "is in the list already",
                    "remove one entry and name the services of both in the other",
                ),
            );
            continue;
        }
        let same_port = ports.entry(entry.port).or_default();
        same_port.insert(entry.alias());
        if same_port.len() > 1 && NOT_TLS_FIRST.contains(&entry.port) {
            say(
                "to",
                refuse(
                    format!(
                        "shares port {} with another host, and only the server name of TLS tells \
                         two hosts apart",
                        entry.port
                    ),
                    "use another port of one of them",
                ),
            );
        }
    }
    problems
}

/// What depends on the stack definition: services and names that it has, and
/// settings that need a route that nobody gave them.
pub(super) fn against_stack(site: &SiteConfig, stack: &Stack) -> Vec<Problem> {
    let mut problems = Vec::new();
    let users = [&stack.langfuse.web, &stack.langfuse.worker];
    for (index, entry) in site.egress.iter().enumerate() {
        let mut say = |key: &str, refusal| problems.push(problem(site, index, key, refusal));
        if let Some(other) = entry.services.iter().find(|name| !users.contains(name)) {
            say(
                "services",
                refuse(
                    format!("names `{other}`, which stays sealed"),
                    format!(
                        "write `services = [\"{}\", \"{}\"]` or one of them",
                        users[0], users[1]
                    ),
                ),
            );
        }
        if stack.call_home.iter().any(|call| call.host == entry.host) {
            say(
                "to",
                refuse("is a host that the stack calls home to", "remove the entry"),
            );
        }
        if stack.service(entry.alias()).is_some() {
            say(
                "to",
                refuse(
                    "has the name of a service of the stack",
                    "write the full name of the host, or another `name` for an address",
                ),
            );
        }
    }
    problems.extend(without_route(site, stack));
    problems
}

/// Settings of web and worker that name a host outside which they may not reach.
fn without_route(site: &SiteConfig, stack: &Stack) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (table, env, service) in [
        ("env.web", &site.env_web, &stack.langfuse.web),
        ("env.worker", &site.env_worker, &stack.langfuse.worker),
    ] {
        for (variable, value) in env {
            // One that is refused as such needs no route.
            let is_refused = refused_variable(variable, value.expose()).is_some();
            if is_refused || variable.starts_with(FOR_BROWSERS) {
                continue;
            }
            let Some((host, port)) = place_of(value.expose()) else {
                continue;
            };
            let is_known = host == site.url.host || stack.service(&host).is_some();
            let is_allowed = site.egress.iter().any(|entry| {
                entry.alias() == host && entry.port == port && entry.services.contains(service)
            });
            if is_known || is_allowed {
                continue;
            }
            let key = format!("{table}.{variable}");
            problems.push(Problem {
                line: site.lines.get(&key).copied(),
                reason: format!("names {host}:{port}, which {service} cannot reach"),
                remedy: remedy(&host, port, service),
                key,
            });
        }
    }
    problems
}

fn remedy(host: &str, port: u16, service: &str) -> String {
    let entry = |name: &str| {
        format!(
            "`[[egress]]` with the lines `name = \"{name}\"`, `to = \"{host}:{port}\"`, \
             `services = [\"{service}\"]` and `purpose = \"…\"`"
        )
    };
    if host.parse::<Ipv4Addr>().is_ok() {
        return format!(
            "add {} and write `target` in place of the address",
            entry("target")
        );
    }
    let name: String = host
        .split('.')
        .next()
        .unwrap_or(host)
        .chars()
        .take(30)
        .collect();
    format!("add {}", entry(&name))
}

/// Host and port of a URL. `None` for what is none.
fn place_of(value: &str) -> Option<(String, u16)> {
    let (scheme, rest) = value.split_once("://")?;
    let known = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        "smtp" => 587,
        "smtps" => 465,
        "redis" | "rediss" => 6379,
        "postgres" | "postgresql" => 5432,
        "ldap" => 389,
        "ldaps" => 636,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, port.parse().ok()?)
        }
        _ => (place, known),
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

fn problem(site: &SiteConfig, index: usize, key: &str, refusal: Refusal) -> Problem {
    let key = format!("egress.{}.{key}", index + 1);
    Problem {
        line: site.lines.get(&key).copied(),
        key,
        reason: refusal.reason,
        remedy: refusal.remedy,
    }
}

#[cfg(test)]
mod tests;
