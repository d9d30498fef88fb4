//! The proof that nothing leaves.

use super::cause::broke_off;
use super::environment::{container, langfuse, variable};
use super::outcome::{Outcome, Unknown, want};
use super::remedy::{engine_command, install_again, isolate};
use crate::engine::Container;
use crate::facts::Facts;
use crate::facts::egress::{Attempt, Ending, Why};
use crate::report::finding::Remedy;
use crate::stack::EGRESS;

/// Slower than this, a page load notices.
const CALL_HOME_PROMPT_MS: u64 = 1000;
/// Switches that must have this value wherever the service has them at all.
const SWITCHES: [(&str, &str); 3] = [
    ("TELEMETRY_ENABLED", "false"),
    ("CHECKPOINT_DISABLE", "1"),
    ("MINIO_UPDATE", "off"),
];
/// Variables that make web or worker send something somewhere.
const SENDERS: [&str; 3] = ["DD_", "OTEL_EXPORTER_", "NODE_USE_ENV_PROXY"];
/// Without these the blob client asks a cloud's metadata address for keys.
const BLOB_KEYS: [&str; 2] = [
    "LANGFUSE_S3_EVENT_UPLOAD_ACCESS_KEY_ID",
    "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY",
];

/// All attempts, with the service that made them. What one service could
/// reach counts even when another could not be looked at.
fn attempts(facts: &Facts, why: &[Why]) -> Result<Vec<(String, Attempt)>, Unknown> {
    let mut all = Vec::new();
    let mut unknown = None;
    for (service, attempts) in &facts.egress {
        match want(attempts) {
            Ok(attempts) => {
                let chosen = attempts.iter().filter(|one| why.contains(&one.target.why));
                all.extend(chosen.map(|one| (service.clone(), one.clone())));
            }
            Err(why) => unknown = Some(why),
        }
    }
    if let Some(unknown) = unknown
        && !all.iter().any(|(_, one)| one.left())
    {
        return Err(unknown);
    }
    if all.is_empty() {
        return Err(Unknown::new("no connect was tried"));
    }
    Ok(all)
}

fn list<'a>(attempts: impl IntoIterator<Item = &'a (String, Attempt)>) -> String {
    attempts
        .into_iter()
        .map(|(service, attempt)| format!("{service} to {attempt}"))
        .collect::<Vec<_>>()
        .join("; ")
}

pub(super) fn call_home(facts: &Facts) -> Result<Outcome, Unknown> {
    let attempts = attempts(facts, &[Why::CallHome])?;
    let left: Vec<_> = attempts.iter().filter(|(_, one)| one.left()).collect();
    if let Some((service, _)) = left.first() {
        return Ok(Outcome::blocking(
            "a host that Langfuse calls home to can be reached: egress is open",
            list(left.iter().copied()),
            isolate(facts, service),
        ));
    }
    let answered: Vec<_> = attempts
        .iter()
        .filter(|(_, one)| one.ending == Ending::Connected)
        .collect();
    if !answered.is_empty() {
        return Ok(Outcome::warning(
            "something inside the container takes connections meant for a host outside",
            list(answered),
            Remedy::text("find out what listens there; nothing leaves the container by it"),
        ));
    }
    let slow: Vec<_> = attempts
        .iter()
        .filter(|(_, one)| one.elapsed_ms >= CALL_HOME_PROMPT_MS && !one.is_to_address())
        .collect();
    if !slow.is_empty() {
        return Ok(Outcome::warning(
            "a host that is known to be called fails, but not at once",
            list(slow),
            install_again(
                facts,
                "run install again with the bundle: it maps these hosts to loopback",
            ),
        ));
    }
    let slowest = attempts
        .iter()
        .filter(|(_, one)| !one.is_to_address())
        .map(|(_, one)| one.elapsed_ms)
        .max()
        .unwrap_or(0);
    let mut kinds: Vec<_> = attempts
        .iter()
        .map(|(_, one)| one.ending.to_string())
        .collect();
    kinds.sort();
    kinds.dedup();
    Ok(Outcome::pass(format!(
        "{} attempts from web and worker failed ({}), the slowest to a name in {slowest} ms",
        attempts.len(),
        kinds.join(", ")
    )))
}

pub(super) fn no_route(facts: &Facts) -> Result<Outcome, Unknown> {
    let attempts = attempts(facts, &[Why::OutsideAddress, Why::OutsideName])?;
    let left: Vec<_> = attempts.iter().filter(|(_, one)| one.left()).collect();
    if let Some((service, _)) = left.first() {
        return Ok(Outcome::blocking(
            "the outside can be reached from inside the stack",
            list(left.iter().copied()),
            isolate(facts, service),
        ));
    }
    let resolved: Vec<_> = attempts.iter().filter(|(_, one)| one.resolved()).collect();
    if let Some((service, _)) = resolved.first() {
        return Ok(Outcome::warning(
            "names outside are resolved for the stack, so queries leave although connections do not",
            list(resolved.iter().copied()),
            Remedy::command(
                "on an internal network it is the engine's own resolver that passes queries on: \
                 update the engine, or give it a `dns` that knows no outside name",
                engine_command(
                    facts,
                    &format!(
                        "exec {} cat /etc/resolv.conf",
                        facts.subject.container(service)
                    ),
                ),
            ),
        ));
    }
    let dropped: Vec<_> = attempts
        .iter()
        .filter(|(_, one)| one.ending == Ending::TimedOut)
        .collect();
    // Older engines seal an internal network by dropping packets, too.
    let is_sealed = facts
        .networks
        .known()
        .into_iter()
        .flatten()
        .any(|network| network.name == facts.subject.internal() && network.internal);
    if let (Some((service, _)), false) = (dropped.first(), is_sealed) {
        return Ok(Outcome::warning(
            "only a firewall that drops packets stands between the stack and the outside",
            list(dropped.iter().copied()),
            isolate(facts, service),
        ));
    }
    Ok(Outcome::pass(list(&attempts)))
}

fn rebuild(facts: &Facts) -> Remedy {
    Remedy::command(
        "uninstall, which keeps the data, and install again with the bundle: it makes networks \
         and containers again",
        format!("lfctl uninstall --name {}", facts.subject.name),
    )
}

/// What of a container leads further than it was made to.
fn opened(facts: &Facts, service: &str, container: &Container) -> Vec<(String, Remedy)> {
    let own = facts.subject.networks_of(service);
    let others = container.addresses.keys();
    let mut wrong: Vec<_> = others
        .filter(|name| !own.contains(*name))
        .map(|other| {
            let command = format!("network disconnect {other} {}", container.name);
            let remedy = Remedy::command(
                "take the container off that network",
                engine_command(facts, &command),
            );
            (format!("{service} is on {other}"), remedy)
        })
        .collect();
    let mut published = container.ports.values();
    if published.any(|addresses| !addresses.is_empty()) {
        wrong.push((format!("{service} has a published port"), rebuild(facts)));
    }
    wrong
}

pub(super) fn networks(facts: &Facts) -> Result<Outcome, Unknown> {
    let networks = want(&facts.networks)?;
    let containers = want(&facts.containers)?;
    let gateway = &facts.subject.stack.langfuse.gateway;
    let internal = facts.subject.internal();
    let mut wrong: Vec<(String, Remedy)> = Vec::new();
    match networks.iter().find(|network| network.name == internal) {
        None => {
            if let Some(cause) = broke_off(facts) {
                return Err(Unknown::Beneath(cause));
            }
            wrong.push((format!("there is no network {internal}"), rebuild(facts)));
        }
        Some(network) if !network.internal => {
            wrong.push((format!("{internal} has a route out"), rebuild(facts)));
        }
        Some(_) => {}
    }
    for (service, container) in containers {
        if service != gateway {
            wrong.extend(opened(facts, service, container));
        }
    }
    let Some((_, remedy)) = wrong.first().cloned() else {
        let allowed = facts.subject.routes.len();
        let sealed = if allowed == 0 {
            format!(
                "{} services are on it alone",
                containers.len().saturating_sub(1)
            )
        } else {
            format!("{allowed} ways out are allowed, by {EGRESS} alone")
        };
        return Ok(Outcome::pass(format!(
            "{internal} is internal, {sealed}, only {gateway} is published"
        )));
    };
    let evidence: Vec<_> = wrong.into_iter().map(|(what, _)| what).collect();
    Ok(Outcome::blocking(
        "the stack's networks are not as they were installed",
        evidence.join("; "),
        remedy,
    ))
}

pub(super) fn switches(facts: &Facts) -> Result<Outcome, Unknown> {
    let mut on = Vec::new();
    let mut off = Vec::new();
    for (name, wanted) in SWITCHES {
        for (service, seen) in switch_values(facts, name)? {
            if seen == Some(wanted) {
                off.push(format!("{name} in {service}"));
            } else {
                on.push(format!(
                    "{name} of {service} is {}",
                    seen.unwrap_or("not set")
                ));
            }
        }
    }
    for (service, crash_reports_off) in &facts.crash_reports_off {
        if *want(crash_reports_off)? {
            off.push(format!("crash reports of {service}"));
        } else {
            on.push(format!("crash reports of {service} are on"));
        }
    }
    if on.is_empty() {
        return Ok(Outcome::pass(format!("off: {}", off.join(", "))));
    }
    Ok(Outcome::blocking(
        "something that calls home is not switched off",
        on.join("; "),
        install_again(
            facts,
            "run install again with the bundle: it sets every switch",
        ),
    ))
}

pub(super) fn exporters(facts: &Facts) -> Result<Outcome, Unknown> {
    let set: Vec<_> = langfuse(facts)?
        .into_iter()
        .flat_map(|(service, container)| {
            container
                .env
                .iter()
                .filter_map(|line| line.split_once('='))
                .filter(|(name, value)| {
                    !value.is_empty() && SENDERS.iter().any(|sender| name.starts_with(sender))
                })
                .map(move |(name, _)| format!("{name} in {service}"))
        })
        .collect();
    if set.is_empty() {
        return Ok(Outcome::pass("no variable names a place to send traces to"));
    }
    Ok(Outcome::warning(
        "web or worker is set to send traces or metrics somewhere",
        set.join(", "),
        Remedy::command(
            "if site.toml does so on purpose, nothing is wrong; otherwise install again",
            format!(
                "lfctl install --offline --name {} BUNDLE",
                facts.subject.name
            ),
        ),
    ))
}

/// A switch in every service whose definition sets it, as the containers
/// really have it. Telemetry is Langfuse's, so web and worker must have it
/// whatever the definition says.
fn switch_values<'a>(
    facts: &'a Facts,
    name: &str,
) -> Result<Vec<(&'a str, Option<&'a str>)>, Unknown> {
    let stack = &facts.subject.stack;
    let mut values = Vec::new();
    for service in &stack.services {
        let is_langfuse = [&stack.langfuse.web, &stack.langfuse.worker].contains(&&service.name);
        let in_groups = service
            .env_groups
            .iter()
            .filter_map(|group| stack.env.get(group))
            .any(|group| group.contains_key(name));
        let forced = name == "TELEMETRY_ENABLED" && is_langfuse;
        if forced || in_groups || service.env.contains_key(name) {
            let container = container(facts, &service.name)?;
            values.push((service.name.as_str(), variable(container, name)));
        }
    }
    Ok(values)
}

pub(super) fn credentials(facts: &Facts) -> Result<Outcome, Unknown> {
    let missing: Vec<_> = langfuse(facts)?
        .into_iter()
        .flat_map(|(service, container)| {
            BLOB_KEYS
                .into_iter()
                .filter(move |name| variable(container, name).is_none())
                .map(move |name| format!("{name} of {service}"))
        })
        .collect();
    if missing.is_empty() {
        return Ok(Outcome::pass("web and worker have keys for the blob store"));
    }
    Ok(Outcome::warning(
        "without keys for the blob store Langfuse asks 169.254.169.254 for some",
        format!("{} not set", missing.join(", ")),
        install_again(facts, "run install again with the bundle: it sets the keys"),
    ))
}
