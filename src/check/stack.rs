//! The containers: right image, running, healthy, reachable.

use std::collections::BTreeMap;

use super::appliance::recorded;
use super::cause::{Beneath, broke_off, require};
use super::outcome::{Cause, Outcome, Unknown, want};
use super::remedy::{apply, engine_command, install_again, read_logs};
use super::stopped;
use crate::engine::{Container, ContainerState, HealthState};
use crate::facts::Facts;
use crate::langfuse::http::HttpError;
use crate::report::finding::{Remedy, Severity};
use crate::stack::SchemaKind;
use crate::sys::text::chain;

/// Restarts from which on it is no accident.
const RESTART_LOOP: u64 = 3;
/// Web sits for 110 s after the first signal, and the worker drains.
const LANGFUSE_STOP_SECONDS: i64 = 120;

/// Services with their containers; a container that is missing is a finding of
/// `stack.services` alone.
fn running(facts: &Facts) -> Result<BTreeMap<&str, &Container>, Unknown> {
    let containers = want(&facts.containers)?;
    let services = &facts.subject.stack.services;
    let found: BTreeMap<_, _> = services
        .iter()
        .filter_map(|service| Some((service.name.as_str(), containers.get(&service.name)?)))
        .collect();
    if found.is_empty() {
        return Err(Unknown::Beneath(broke_off(facts).unwrap_or_else(|| {
            Cause {
                what: "no service has a container".to_owned(),
                told_by: "stack.services",
            }
        })));
    }
    Ok(found)
}

pub(super) fn images(facts: &Facts) -> Result<Outcome, Unknown> {
    let containers = running(facts)?;
    let bare = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
    let mut wrong = Vec::new();
    for service in &facts.subject.stack.services {
        let Some(container) = containers.get(service.name.as_str()) else {
            continue;
        };
        match facts.subject.images.get(&service.image) {
            Some(id) if bare(id) == bare(&container.image) => {}
            Some(id) => wrong.push(format!(
                "{} runs {:.12}, installed was {:.12}",
                service.name,
                bare(&container.image),
                bare(id)
            )),
            None => wrong.push(format!("{} has no image on record", service.name)),
        }
    }
    if wrong.is_empty() {
        return Ok(Outcome::pass(format!(
            "{} containers, each with the image id on record",
            containers.len()
        )));
    }
    Ok(Outcome::blocking(
        "a container does not run what was installed",
        wrong.join("; "),
        install_again(
            facts,
            "run install again with the bundle: it replaces what differs",
        ),
    ))
}

pub(super) fn services(facts: &Facts) -> Result<Outcome, Unknown> {
    let containers = want(&facts.containers)?;
    let mut ill = Vec::new();
    for service in &facts.subject.stack.services {
        let complaint = match containers.get(&service.name) {
            None => Some("has no container".to_owned()),
            Some(container) => complaint(container),
        };
        if let Some(complaint) = complaint {
            ill.push((service.name.as_str(), complaint));
        }
    }
    if let Some(cause) = broke_off(facts).filter(|_| !ill.is_empty()) {
        return Err(Unknown::Beneath(cause));
    }
    let total = facts.subject.stack.services.len();
    let Some((first, _)) = ill.first() else {
        return Ok(Outcome::pass(format!(
            "{total} of {total} are running and healthy"
        )));
    };
    let down: Vec<_> = ill.iter().map(|(service, _)| *service).collect();
    if let Some(told) = stopped::told(facts, &down) {
        return Ok(told);
    }
    let starting = ill.iter().all(|(_, complaint)| complaint == STARTING);
    let evidence = ill
        .iter()
        .map(|(service, complaint)| format!("{service} {complaint}"))
        .collect::<Vec<_>>()
        .join("; ");
    if starting {
        return Ok(Outcome::warning(
            "a service is still starting",
            evidence,
            Remedy::command(
                "look again in a minute",
                format!("lfctl doctor --name {}", facts.subject.name),
            ),
        ));
    }
    Ok(Outcome::blocking(
        "a service does not run or is not healthy",
        evidence,
        read_logs(
            facts,
            first,
            "read why, fix it, then start what is down: `lfctl start`",
        ),
    ))
}

const STARTING: &str = "has no verdict yet";

fn complaint(container: &Container) -> Option<String> {
    match (container.state, container.health) {
        (ContainerState::Running, Some(HealthState::Healthy) | None) => None,
        (ContainerState::Running, Some(HealthState::Starting)) => Some(STARTING.to_owned()),
        (ContainerState::Running, Some(HealthState::Unhealthy)) => {
            let output = container.health_output.as_deref().unwrap_or_default();
            let output = crate::sys::text::one_line(output);
            Some(if output.is_empty() {
                "is unhealthy".to_owned()
            } else {
                format!("is unhealthy ({output})")
            })
        }
        (ContainerState::Restarting, _) => Some("keeps restarting".to_owned()),
        (ContainerState::Exited, _) => Some(format!(
            "ended with code {}",
            container
                .exit_code
                .map_or_else(|| "unknown".to_owned(), |code| code.to_string())
        )),
        (ContainerState::Created, _) => Some("was never started".to_owned()),
        (ContainerState::Paused, _) => Some("is paused".to_owned()),
        (ContainerState::Other, _) => Some("is in a state lfctl does not know".to_owned()),
    }
}

pub(super) fn restarts(facts: &Facts) -> Result<Outcome, Unknown> {
    let containers = running(facts)?;
    let restarted: Vec<_> = containers
        .iter()
        .filter(|(_, container)| container.restarts > 0)
        .collect();
    let Some((worst, container)) = restarted.iter().max_by_key(|(_, one)| one.restarts) else {
        return Ok(Outcome::pass("the engine restarted none of them"));
    };
    let severity = if container.restarts >= RESTART_LOOP {
        Severity::Blocking
    } else {
        Severity::Warning
    };
    let evidence = restarted
        .iter()
        .map(|(service, container)| format!("{service} {} times", container.restarts))
        .collect::<Vec<_>>()
        .join(", ");
    Ok(Outcome::found(
        severity,
        "a service ended by itself and was restarted",
        evidence,
        read_logs(facts, worst, "read why it ended"),
    ))
}

pub(super) fn out_of_memory(facts: &Facts) -> Result<Outcome, Unknown> {
    let killed: Vec<_> = running(facts)?
        .into_iter()
        .filter(|(_, container)| container.oom_killed)
        .map(|(service, _)| service)
        .collect();
    if killed.is_empty() {
        return Ok(Outcome::pass("the kernel killed none of them"));
    }
    Ok(Outcome::blocking(
        "the kernel killed a service because memory ran out",
        killed.join(", "),
        Remedy::command(
            "give the host more memory; what used it is in the kernel's log",
            "journalctl -k --grep 'Out of memory'",
        ),
    ))
}

pub(super) fn volumes(facts: &Facts) -> Result<Outcome, Unknown> {
    let missing = match &facts.change {
        Some(change) => {
            let held_data = recorded(facts)?.is_some_and(|state| state.holds_data);
            if !held_data {
                return Ok(Outcome::not_applicable("it holds no data yet"));
            }
            let volumes = change.existing.volumes.iter();
            volumes
                .filter(|(_, exists)| !**exists)
                .map(|(name, _)| name.clone())
                .collect()
        }
        None => missing_now(facts)?,
    };
    if missing.is_empty() {
        let wanted = facts.subject.stack.volumes.len();
        return Ok(Outcome::pass(format!("{wanted} volumes")));
    }
    if let Some(cause) = broke_off(facts) {
        return Err(Unknown::Beneath(cause));
    }
    let name = &facts.subject.name;
    let remedy = if facts.change.is_some() {
        Remedy::command(
            "restore them, or start again without the data",
            format!("lfctl uninstall --name {name} --purge"),
        )
    } else {
        Remedy::command(
            "stop before anything writes into an empty one: restore the volume from your backup",
            engine_command(facts, "volume ls"),
        )
    };
    Ok(Outcome::blocking(
        format!("volumes of `{name}`, which held its data, are gone"),
        missing.join(", "),
        remedy,
    ))
}

fn missing_now(facts: &Facts) -> Result<Vec<String>, Unknown> {
    let present = want(&facts.volumes)?;
    let wanted = facts.subject.stack.volumes.iter();
    Ok(wanted
        .map(|volume| facts.subject.volume(&volume.name))
        .filter(|name| !present.iter().any(|volume| volume.name == *name))
        .collect())
}

pub(super) fn stop_timeout(facts: &Facts) -> Result<Outcome, Unknown> {
    let containers = running(facts)?;
    let stack = &facts.subject.stack;
    let mut short = Vec::new();
    for service in &stack.services {
        let Some(container) = containers.get(service.name.as_str()) else {
            continue;
        };
        let langfuse = [&stack.langfuse.web, &stack.langfuse.worker].contains(&&service.name);
        let asked = i64::try_from(service.stop.timeout_seconds).unwrap_or(i64::MAX);
        let needed = if langfuse {
            asked.max(LANGFUSE_STOP_SECONDS)
        } else {
            asked
        };
        // An engine without one kills after ten seconds.
        let given = container.stop_timeout.unwrap_or(10);
        if given < needed {
            short.push(format!("{} gets {given} s of {needed} s", service.name));
        }
    }
    if short.is_empty() {
        return Ok(Outcome::pass(format!(
            "web and worker at least {LANGFUSE_STOP_SECONDS} s, the others what their definition asks"
        )));
    }
    Ok(Outcome::warning(
        "a service would be killed in the middle of its work when it is stopped",
        short.join("; "),
        install_again(
            facts,
            "run install again with the bundle: it recreates the container",
        ),
    ))
}

pub(super) fn gateway(facts: &Facts) -> Result<Outcome, Unknown> {
    let site = facts.subject.site.as_ref();
    let site = site.ok_or_else(|| Unknown::new("nothing is published"))?;
    match want(&facts.published)? {
        Ok(()) => Ok(Outcome::pass(format!(
            "{} takes connections, {}",
            site.listen,
            if site.tls { "TLS" } else { "plain HTTP" }
        ))),
        Err(error @ HttpError::NotOurs { .. }) => Ok(Outcome::blocking(
            "the published address is none of this host's, so nothing was sent there",
            chain(error),
            apply(
                facts,
                "put an address of this host into `listen` in site.toml, then run this",
            ),
        )),
        Err(error) => {
            require(facts, &[Beneath::Gateway])?;
            Ok(Outcome::blocking(
                "the appliance cannot be reached",
                chain(error),
                read_logs(
                    facts,
                    &facts.subject.stack.langfuse.gateway,
                    "read why the gateway does not listen; a local firewall may also drop the port",
                ),
            ))
        }
    }
}

/// What tells of a web that is down before its health endpoint does.
const UNDER_WEB: &[Beneath] = &[Beneath::Gateway, Beneath::WebContainer];

pub(super) fn web_version(facts: &Facts) -> Result<Outcome, Unknown> {
    let langfuse = &facts.subject.stack.langfuse;
    let logs = |text| read_logs(facts, &langfuse.web, text);
    let health = match want(&facts.web)? {
        Ok(health) => health,
        Err(error) => {
            require(facts, UNDER_WEB)?;
            return Ok(Outcome::blocking(
                "web does not answer",
                chain(error),
                logs("read why"),
            ));
        }
    };
    let evidence = format!(
        "status {}, version {}, in {} ms",
        health.status,
        health.version.as_deref().unwrap_or("unknown"),
        health.elapsed_ms
    );
    if !health.is_ok() {
        require(facts, UNDER_WEB)?;
        return Ok(Outcome::blocking(
            "web answers, but reports a problem",
            evidence,
            logs("read why: with a bad environment web stays up and answers 500 to every request"),
        ));
    }
    if health.version.as_deref() != Some(langfuse.version.as_str()) {
        return Ok(Outcome::blocking(
            format!("web is not version {}", langfuse.version),
            evidence,
            install_again(
                facts,
                "run install again with the bundle: it replaces what differs",
            ),
        ));
    }
    Ok(Outcome::pass(evidence))
}

pub(super) fn worker_health(facts: &Facts) -> Result<Outcome, Unknown> {
    let health = want(&facts.worker)?;
    if health.code == 0 {
        return Ok(Outcome::pass("its own health check passed just now"));
    }
    require(
        facts,
        &[
            Beneath::Database(SchemaKind::Prisma),
            Beneath::Redis,
            Beneath::Worker,
        ],
    )?;
    Ok(Outcome::blocking(
        "the worker does not reach Postgres or Redis, so nothing is ingested",
        format!(
            "its health check ended with code {}: {}",
            health.code, health.output
        ),
        read_logs(facts, &facts.subject.stack.langfuse.worker, "read why"),
    ))
}
