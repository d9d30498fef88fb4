//! What an operator types to start an engine, or to see why it is not well.

/// How to start what should answer on these sockets, most likely first.
pub fn start_commands(sockets: &str) -> Vec<&'static str> {
    of_sockets(
        sockets,
        ["systemctl start docker", "systemctl start podman.socket"],
        [
            "systemctl --user start docker",
            "systemctl --user start podman.socket",
        ],
    )
}

/// How to read what the engine behind these sockets complains of.
pub fn log_commands(sockets: &str) -> Vec<&'static str> {
    of_sockets(
        sockets,
        [
            "journalctl --unit docker --lines 50",
            "journalctl --unit podman --lines 50",
        ],
        [
            "journalctl --user --unit docker --lines 50",
            "journalctl --user --unit podman --lines 50",
        ],
    )
}

/// Commands in a sentence, of which one is the right one.
pub fn either(commands: &[&str]) -> String {
    let commands = commands.iter().map(|command| format!("`{command}`"));
    commands.collect::<Vec<_>>().join(" or ")
}

/// Docker's and Podman's, of the system or of a user. A socket that says
/// nothing of its engine may be either's.
fn of_sockets(
    sockets: &str,
    system: [&'static str; 2],
    user: [&'static str; 2],
) -> Vec<&'static str> {
    let first = sockets.split([',', ' ']).next().unwrap_or_default();
    let [docker, podman] = if first.starts_with("/run/user/") {
        user
    } else {
        system
    };
    match (sockets.contains("docker"), sockets.contains("podman")) {
        (true, false) => vec![docker],
        (false, true) => vec![podman],
        _ => vec![docker, podman],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_fits_the_engine() {
        for (sockets, commands) in [
            ("/var/run/docker.sock", &["systemctl start docker"][..]),
            (
                "/run/podman/podman.sock, /run/user/0/podman/podman.sock",
                &["systemctl start podman.socket"],
            ),
            (
                "/run/user/1000/podman/podman.sock",
                &["systemctl --user start podman.socket"],
            ),
            (
                "/var/run/docker.sock, /run/podman/podman.sock",
                &["systemctl start docker", "systemctl start podman.socket"],
            ),
            (
                "/srv/engine.sock",
                &["systemctl start docker", "systemctl start podman.socket"],
            ),
        ] {
            assert_eq!(start_commands(sockets), commands, "{sockets}");
        }
        assert!(log_commands("/run/podman/podman.sock")[0].contains("podman"));
    }
}
