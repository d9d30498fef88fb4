//! Remedies that many findings share.

use crate::engine::EngineKind;
use crate::facts::Facts;
use crate::report::finding::Remedy;

/// Sockets that `docker` and, as root, `podman` use when none is named.
const USUAL_SOCKETS: [&str; 3] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
];

/// A command of the engine that runs the stack.
pub(super) fn engine_command(facts: &Facts, arguments: &str) -> String {
    let home = facts.subject.home.as_ref();
    let (kind, socket) = match facts.engine.known() {
        Some(engine) => (engine.kind, Some(&engine.socket)),
        None => (
            home.map_or(EngineKind::Docker, |home| home.kind),
            home.and_then(|home| Some(&home.place.as_ref()?.socket)),
        ),
    };
    let unusual = socket.filter(|socket| !USUAL_SOCKETS.contains(&socket.as_str()));
    let Some(socket) = unusual else {
        return format!("{kind} {arguments}");
    };
    let flag = match kind {
        EngineKind::Docker => "--host",
        EngineKind::Podman => "--url",
    };
    let address = format!("unix://{socket}");
    format!("{kind} {flag} {} {arguments}", shell_words::quote(&address))
}

/// The remedy for what `site.toml` or its certificate says anew.
pub(super) fn apply(facts: &Facts, text: &str) -> Remedy {
    Remedy::command(text, format!("lfctl apply --name {}", facts.subject.name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::healthy;
    use crate::facts::Fact;

    #[test]
    fn a_command_of_the_engine_names_an_unusual_socket() {
        use EngineKind::{Docker, Podman};
        for (kind, socket, wanted) in [
            (Docker, "/var/run/docker.sock", "docker ps"),
            (
                Docker,
                "/run/user/7/docker.sock",
                "docker --host unix:///run/user/7/docker.sock ps",
            ),
            (Podman, "/run/podman/podman.sock", "podman ps"),
            (
                Podman,
                "/srv/a b/podman.sock",
                "podman --url 'unix:///srv/a b/podman.sock' ps",
            ),
        ] {
            let mut facts = healthy();
            let Fact::Known(engine) = &mut facts.engine else {
                panic!("no engine")
            };
            (engine.kind, engine.socket) = (kind, socket.to_owned());
            let place = crate::appliance::state::EnginePlace::of(engine);
            assert_eq!(engine_command(&facts, "ps"), wanted);
            // While it is down, its place is on record.
            facts.engine = Fact::Unknown("down".to_owned());
            let home = facts.subject.home.as_mut().unwrap();
            (home.kind, home.place) = (kind, Some(place));
            assert_eq!(engine_command(&facts, "ps"), wanted);
        }
    }
}
