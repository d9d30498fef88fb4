//! The container engine.

use super::{Outcome, Unknown, want};
use crate::engine::{EngineKind, LoadRoute};
use crate::facts::Facts;

use crate::report::finding::Remedy;

/// Oldest releases that lfctl is tested with.
const DOCKER: (u64, u64) = (20, 10);
const PODMAN: (u64, u64) = (4, 3);

#[expect(
    clippy::unnecessary_wraps,
    reason = "one of a list of functions of the same type"
)]
pub(super) fn reachable(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = match facts.engine.as_result() {
        Ok(engine) => engine,
        Err(why) => {
            return Ok(Outcome::blocking(
                "the container engine does not answer",
                why,
                Remedy::command(
                    "start the engine; a stack that was running comes back with it",
                    "systemctl start docker",
                ),
            ));
        }
    };
    let store = if engine.containerd_store {
        ", containerd store"
    } else {
        ""
    };
    let rootless = if engine.rootless { ", rootless" } else { "" };
    Ok(Outcome::pass(format!(
        "{} {} on {}, {}{store}{rootless}; images are loaded {}",
        engine.kind,
        engine.version,
        engine.socket,
        engine.storage_driver,
        LoadRoute::of(engine).explain(engine)
    )))
}

pub(super) fn version(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    let oldest = match engine.kind {
        EngineKind::Docker => DOCKER,
        EngineKind::Podman => PODMAN,
    };
    let mut numbers = engine.version.split(['.', '-', '+']).map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(Unknown(format!("`{}` is no version", engine.version)));
    };
    let evidence = format!("{} {}", engine.kind, engine.version);
    if (major, minor) >= oldest {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        format!(
            "lfctl is not tested with {} older than {}.{}",
            engine.kind, oldest.0, oldest.1
        ),
        evidence,
        Remedy::text("update the engine from your distribution's media"),
    ))
}

pub(super) fn daemon_proxy(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    if engine.proxies.is_empty() {
        return Ok(Outcome::pass("none is configured"));
    }
    Ok(Outcome::warning(
        "the engine sends its own traffic through a proxy, loopback included",
        format!("the daemon names {}", engine.proxies.join(", ")),
        Remedy::command(
            "take the proxy out of the daemon's configuration, or exempt loopback by \
             NO_PROXY=localhost,127.0.0.1, and restart the daemon in a maintenance window",
            "systemctl edit docker",
        ),
    ))
}
