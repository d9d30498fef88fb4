//! Remedies that many findings share.

use crate::facts::Facts;
use crate::report::finding::Remedy;

/// A command of the engine that runs the stack.
pub(super) fn engine_command(facts: &Facts, arguments: &str) -> String {
    let kind = facts
        .engine
        .known()
        .map_or_else(|| "docker".to_owned(), |engine| engine.kind.to_string());
    format!("{kind} {arguments}")
}

/// The remedy for whatever differs from what was installed.
pub(super) fn install_again(facts: &Facts, text: &str) -> Remedy {
    Remedy::command(
        text,
        format!(
            "lfctl install --offline --name {} BUNDLE",
            facts.subject.name
        ),
    )
}

/// The remedy that begins with reading what a service wrote.
pub(super) fn read_logs(facts: &Facts, service: &str, text: &str) -> Remedy {
    Remedy::command(
        text,
        format!("lfctl logs --name {} {service}", facts.subject.name),
    )
}

/// The remedy for a container that reaches more than it should.
pub(super) fn isolate(facts: &Facts, service: &str) -> Remedy {
    let container = facts.subject.container(service);
    Remedy::command(
        format!(
            "see which networks the container is on; only `{}` belongs there: take it off any \
             other by `network disconnect`, and look for a proxy that the host offers it",
            facts.subject.internal()
        ),
        engine_command(
            facts,
            &format!("inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container}"),
        ),
    )
}
