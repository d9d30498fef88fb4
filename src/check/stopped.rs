//! Services that were stopped on purpose, told from those that are down.

use super::outcome::Outcome;
use crate::engine::ContainerState;
use crate::facts::Facts;
use crate::report::finding::Remedy;

/// Whether `lfctl stop` stopped a service, and it does not run.
pub(super) fn is_stopped(facts: &Facts, service: &str) -> bool {
    let containers = facts.containers.known();
    let container = containers.and_then(|containers| containers.get(service));
    let rests = container
        .is_none_or(|one| matches!(one.state, ContainerState::Exited | ContainerState::Created));
    rests && facts.subject.stopped.contains(service)
}

/// The outcome when all that is `down` was stopped on purpose.
pub(super) fn told(facts: &Facts, down: &[&str]) -> Option<Outcome> {
    if down.is_empty() || !down.iter().all(|service| is_stopped(facts, service)) {
        return None;
    }
    Some(Outcome::warning(
        "services are stopped on purpose",
        format!("`lfctl stop` stopped {}", down.join(", ")),
        Remedy::command(
            "start them when the work is done",
            format!("lfctl start --name {}", facts.subject.name),
        ),
    ))
}
