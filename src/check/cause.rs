//! What lies beneath a check: when it is down, the check cannot be made, and
//! only the check that tells of it raises an alarm.

use super::outcome::{Cause, Unknown};
use super::stopped::is_stopped;
use crate::engine::{Container, ContainerState, HealthState};
use crate::facts::Facts;
use crate::stack::SchemaKind;

/// Something that must be up for a check to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beneath {
    /// The engine answers.
    Engine,
    /// The gateway's container runs.
    Gateway,
    /// Web's container runs.
    WebContainer,
    /// Web runs and answers well.
    Web,
    /// The worker's container runs.
    Worker,
    /// The server of this schema runs.
    Database(SchemaKind),
    /// Redis runs.
    Redis,
    /// Every service runs and is healthy.
    AllServices,
}

/// The first of these that is down, and the check that tells of it.
pub(super) fn beneath(facts: &Facts, parts: &[Beneath]) -> Option<Cause> {
    parts.iter().find_map(|part| part.down(facts))
}

/// Ends a check that would blame the wrong thing while one of these is down.
pub(super) fn require(facts: &Facts, parts: &[Beneath]) -> Result<(), Unknown> {
    beneath(facts, parts).map_or(Ok(()), |cause| Err(Unknown::Beneath(cause)))
}

impl Beneath {
    fn down(self, facts: &Facts) -> Option<Cause> {
        if let Some(cause) = engine(facts) {
            return Some(cause);
        }
        let langfuse = &facts.subject.stack.langfuse;
        match self {
            Self::Engine => None,
            Self::Gateway => service(facts, &langfuse.gateway),
            Self::WebContainer => service(facts, &langfuse.web),
            Self::Web => service(facts, &langfuse.web).or_else(|| web(facts)),
            Self::Worker => service(facts, &langfuse.worker),
            Self::Database(kind) => {
                let schemas = &facts.subject.stack.schemas;
                let schema = schemas.iter().find(|schema| schema.kind == kind)?;
                service(facts, &schema.service)
            }
            Self::Redis => {
                let redis = crate::facts::settings::redis(&facts.subject.stack)?;
                service(facts, &redis.name)
            }
            Self::AllServices => {
                let services = &facts.subject.stack.services;
                services.iter().find_map(|one| service(facts, &one.name))
            }
        }
    }
}

fn engine(facts: &Facts) -> Option<Cause> {
    facts.engine.as_result().err().map(|_| Cause {
        what: "the engine is down".to_owned(),
        told_by: "engine.reachable",
    })
}

/// That an install broke off, while what it makes is not all there.
pub(super) fn broke_off(facts: &Facts) -> Option<Cause> {
    let run = facts.subject.unfinished.known()?.as_ref()?;
    (facts.change.is_none() && !run.committed).then(|| Cause {
        what: format!("the {} broke off", run.command),
        told_by: "appliance.unfinished",
    })
}

fn service(facts: &Facts, name: &str) -> Option<Cause> {
    let what = trouble(facts.containers.known()?.get(name))?;
    let what = if is_stopped(facts, name) {
        "is stopped on purpose"
    } else {
        what
    };
    Some(broke_off(facts).unwrap_or_else(|| Cause {
        what: format!("{name} {what}"),
        told_by: "stack.services",
    }))
}

fn trouble(container: Option<&Container>) -> Option<&'static str> {
    match container.map(|one| (one.state, one.health)) {
        Some((ContainerState::Running, Some(HealthState::Unhealthy))) => Some("is not healthy"),
        Some((ContainerState::Running, _)) => None,
        Some((ContainerState::Restarting, _)) => Some("keeps restarting"),
        _ => Some("is down"),
    }
}

fn web(facts: &Facts) -> Option<Cause> {
    let what = match facts.web.known()? {
        Ok(health) if health.is_ok() => return None,
        Ok(health) => format!("web answers {}", health.status),
        Err(_) => "web does not answer".to_owned(),
    };
    Some(Cause {
        what,
        told_by: "stack.web-version",
    })
}
