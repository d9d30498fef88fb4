//! The container engine.

use super::change::change;
use super::outcome::{Outcome, Unknown, want};
use crate::engine::{EngineFacts, EngineKind, LoadRoute, start_commands};
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
                start(facts),
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

/// The remedy for an engine that is down.
fn start(facts: &Facts) -> Remedy {
    let home = facts.subject.home.as_ref();
    let socket = home.and_then(|home| home.place.as_ref());
    let socket = socket.map(|place| place.socket.clone());
    let kind = home.map(|home| home.kind.to_string());
    let commands = start_commands(&socket.or(kind).unwrap_or_default());
    Remedy::command(
        "start the engine; a stack that was running comes back with it",
        commands.join(" || "),
    )
}

pub(super) fn version(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    let oldest = match engine.kind {
        EngineKind::Docker => DOCKER,
        EngineKind::Podman => PODMAN,
    };
    let mut numbers = engine.version.split(['.', '-', '+']).map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(Unknown::new(format!(
            "`{}` is not a version",
            engine.version
        )));
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
        "the engine has a proxy configured: it hands it to containers, and loopback goes through it",
        format!("the daemon names {}", engine.proxies.join(", ")),
        Remedy::command(
            "take the proxy out of the daemon's configuration, or exempt loopback by \
             NO_PROXY=localhost,127.0.0.1, and restart the daemon in a maintenance window",
            edit(engine),
        ),
    ))
}

/// How to change what the engine is started with.
fn edit(engine: &EngineFacts) -> String {
    let user = if engine.rootless { "--user " } else { "" };
    format!("systemctl {user}edit {}", engine.kind)
}

pub(super) fn platform(facts: &Facts) -> Result<Outcome, Unknown> {
    let (engine, platform) = (want(&facts.engine)?, &change(facts)?.manifest.platform);
    let evidence = format!("the engine runs {}/{}", engine.os, engine.architecture);
    if engine.os == platform.os && engine.architecture == platform.architecture {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        format!("the bundle holds images for {platform}"),
        evidence,
        Remedy::text("use the bundle made for this platform"),
    ))
}

pub(super) fn rootless_tls(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    let tls = facts.subject.site.as_ref().is_some_and(|site| site.tls);
    if !engine.rootless || !tls {
        return Ok(Outcome::pass("lfctl reaches the gateway over plain HTTP"));
    }
    Ok(Outcome::blocking(
        "a rootless engine keeps lfctl from the gateway's inner port",
        "the published port speaks TLS, which lfctl's probes do not",
        Remedy::text(
            "let a proxy in front carry the certificate (`behind-proxy = true` instead of [tls]), \
             or use the system's engine",
        ),
    ))
}

pub(super) fn foreign_object(facts: &Facts) -> Result<Outcome, Unknown> {
    let foreign = &change(facts)?.existing.foreign;
    let name = &facts.subject.name;
    if foreign.is_empty() {
        return Ok(Outcome::pass("every name is free or the appliance's own"));
    }
    let all = foreign.join(", ");
    Ok(Outcome::blocking(
        format!("{all} exists and was not made by lfctl for `{name}`"),
        "it does not carry the label of this appliance",
        Remedy::text(format!(
            "choose another name with `--name`, or remove {all} yourself if it is not needed"
        )),
    ))
}

pub(super) fn nofile(facts: &Facts) -> Result<Outcome, Unknown> {
    let services = facts.subject.stack.services.iter();
    let asked: Vec<_> = services
        .filter_map(|service| Some((service.name.as_str(), service.nofile?)))
        .collect();
    if asked.is_empty() {
        return Ok(Outcome::not_applicable("no service asks for open files"));
    }
    let limit = *want(&facts.nofile)?;
    let list = |asked: &[(&str, u64)]| -> String {
        let each = asked
            .iter()
            .map(|(service, files)| format!("{service} asks for {files}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let above: Vec<_> = asked
        .iter()
        .copied()
        .filter(|(_, files)| *files > limit)
        .collect();
    if above.is_empty() {
        let asked = list(&asked);
        return Ok(Outcome::pass(format!(
            "{asked}, the engine may set up to {limit}"
        )));
    }
    let needed = above.iter().map(|(_, files)| *files).max().unwrap_or(0);
    Ok(Outcome::blocking(
        "a service asks for more open files than the engine may set, so it cannot start",
        format!("{}, the engine may set up to {limit}", list(&above)),
        Remedy::command(
            format!(
                "give the engine the limit `LimitNOFILE={needed}` or more, and raise `fs.nr_open` \
                 where that is lower; in a container or a virtual machine ask who runs its host"
            ),
            edit(want(&facts.engine)?),
        ),
    ))
}
