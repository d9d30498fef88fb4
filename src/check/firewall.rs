//! Whether the host's firewall keeps the gateway from the host and the outside.

use super::outcome::{Outcome, Unknown, want};
use super::remedy::{engine_command, install_again};
use crate::engine::EngineKind;
use crate::facts::Facts;
use crate::host::firewall::Wall;
use crate::report::finding::Remedy;

const OPEN: &str = "the gateway can open connections to services of the host that listen on all \
                    addresses, and send packets beyond the host";
const NO_TOOL: &str = "there is no iptables, so lfctl cannot close the host's firewall";

pub(super) fn firewall(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    if engine.kind == EngineKind::Podman {
        return Ok(podman(facts, engine.rootless));
    }
    if engine.rootless {
        let why = "the bridge of a rootless engine is in a network namespace of its own";
        return Ok(Outcome::warning(OPEN, why, by_hand()));
    }
    let wall = *want(&facts.firewall)?;
    if wall == Wall::NoTool {
        let install = Remedy::command("install iptables and repeat", "apt-get install iptables");
        return Ok(Outcome::warning(OPEN, NO_TOOL, install));
    }
    if facts.change.is_some() {
        return Ok(before(wall));
    }
    let name = &facts.subject.name;
    match wall {
        Wall::Closed => Ok(Outcome::pass(
            "the host's firewall drops new connections of the gateway",
        )),
        Wall::NoBridge => Ok(Outcome::warning(
            OPEN,
            "its network was made by an older lfctl, or the engine is not on this host",
            install_again(
                facts,
                "run install again with the bundle: it recreates the network and keeps the data",
            ),
        )),
        Wall::NotRoot => Err(Unknown::new("only root can see the host's firewall")),
        _ => Ok(Outcome::warning(
            OPEN,
            "lfctl's rules are missing from the host's firewall, as after a reboot",
            Remedy::command("put them back", format!("lfctl recover --name {name}")),
        )),
    }
}

fn before(wall: Wall) -> Outcome {
    if wall == Wall::NotRoot {
        let why = "only root can change the host's firewall";
        return Outcome::warning(OPEN, why, Remedy::text("run the same command as root"));
    }
    Outcome::pass("lfctl can close the host's firewall to the gateway")
}

fn podman(facts: &Facts, rootless: bool) -> Outcome {
    if rootless {
        let why = "the bridge of a rootless engine is in a network namespace of its own";
        return Outcome::warning(OPEN, why, by_hand());
    }
    let edge = facts.subject.edge();
    let inspect = format!("network inspect --format '{{{{.NetworkInterface}}}}' {edge}");
    Outcome::warning(
        OPEN,
        "lfctl keeps no firewall rules for Podman's bridges",
        Remedy::command(
            "once installed, look up the bridge and type the rules in docs/security.md for it",
            engine_command(facts, &inspect),
        ),
    )
}

fn by_hand() -> Remedy {
    Remedy::text(
        "the account that runs the engine should reach nothing that the gateway must not; a \
         rootful Docker lets lfctl close this itself",
    )
}
