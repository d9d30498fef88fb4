//! Before an install.

use super::table::{BLOCK, Case, WARN, broken_off, change, disk, host, known, open, upgrade};
use crate::appliance::state::{State, Status};
use crate::engine::EngineKind;
use crate::facts::subject::{Secrets, Site};
use crate::facts::{Fact, Facts, MissingLayer};
use crate::host::firewall::Wall;
use crate::oci::digest::Digest;
use crate::sys::host::PortState;

fn recorded(facts: &mut Facts) -> &mut State {
    change(facts).recorded.as_mut().unwrap()
}

/// Another bundle is to replace what runs.
fn upgrades(facts: &mut Facts) {
    let state = recorded(facts);
    state.status = Status::Installed;
    state.current.bundle = Digest::of(b"another");
    state.current.release.version = "4.15.0".parse().unwrap();
    upgrade(facts);
    change(facts).manifest.upgrade.from = vec!["*".parse().unwrap()];
}

/// Faults of a first install.
pub(super) const FIRST: &[Case] = &[
    (
        |f| *known(&mut f.firewall) = Wall::NoTool,
        "egress.firewall",
        WARN,
    ),
    (
        |f| *known(&mut f.firewall) = Wall::NotRoot,
        "egress.firewall",
        WARN,
    ),
    (
        |f| known(&mut f.engine).kind = EngineKind::Podman,
        "egress.firewall",
        WARN,
    ),
    (
        |f| {
            let boot = known(&mut f.boot).as_mut().unwrap();
            boot.units.insert("docker.service", false);
        },
        "engine.boot",
        WARN,
    ),
    (
        |f| {
            change(f).missing.push(MissingLayer {
                reference: "docker.io/a/b:1.0".to_owned(),
                layer: Digest::of(b"layer"),
                size: 5,
            });
        },
        "bundle.incomplete",
        BLOCK,
    ),
    (
        |f| f.now = change(f).manifest.created + jiff::SignedDuration::from_hours(181 * 24),
        "bundle.old",
        WARN,
    ),
    (
        |f| f.subject.unfinished = Fact::Known(Some(broken_off(b"another"))),
        "appliance.unfinished",
        BLOCK,
    ),
    (
        |f| change(f).existing.unrecorded = true,
        "appliance.not-recorded",
        BLOCK,
    ),
    (
        |f| f.engine = Fact::Unknown("no answer".to_owned()),
        "engine.reachable",
        BLOCK,
    ),
    (
        |f| known(&mut f.engine).version = "19.03.1".to_owned(),
        "engine.version",
        WARN,
    ),
    (
        |f| {
            known(&mut f.engine)
                .proxies
                .push("http://p:3128".to_owned());
        },
        "engine.daemon-proxy",
        WARN,
    ),
    (
        |f| known(&mut f.engine).architecture = "arm64".to_owned(),
        "engine.platform",
        BLOCK,
    ),
    (
        |f| {
            known(&mut f.engine).rootless = true;
            site(f).tls = true;
        },
        "engine.rootless-tls",
        BLOCK,
    ),
    (
        |f| {
            change(f)
                .existing
                .foreign
                .push("container lf-web".to_owned());
        },
        "engine.foreign-object",
        BLOCK,
    ),
    (|f| *known(&mut f.nofile) = 262_143, "engine.nofile", BLOCK),
    (
        |f| known(&mut f.engine).memory = 4 << 30,
        "host.memory",
        BLOCK,
    ),
    (|f| host(f).memory.total = 4 << 30, "host.memory", BLOCK),
    (|f| host(f).memory.total = 10 << 30, "host.memory", WARN),
    (|f| known(&mut f.engine).cpus = 1, "host.cpu", WARN),
    (|f| host(f).cpu.count = 1, "host.cpu", WARN),
    (|f| host(f).cpu.flags.clear(), "host.cpu", BLOCK),
    (
        |f| change(f).needs[0].free = Some(1),
        "host.disk-space",
        BLOCK,
    ),
    (
        |f| disk(f).fs_type = "nfs4".to_owned(),
        "host.filesystem",
        BLOCK,
    ),
    (
        |f| f.now = change(f).manifest.created - jiff::SignedDuration::from_secs(301),
        "host.clock",
        WARN,
    ),
    (
        |f| site(f).url = "http://localhost:8080".to_owned(),
        "host.url",
        WARN,
    ),
    (
        |f| site(f).url = "https://[::1]".to_owned(),
        "host.url",
        WARN,
    ),
    (|f| port(f, PortState::InUse), "host.port", BLOCK),
    (|f| port(f, PortState::NotLocal), "host.port", BLOCK),
    (|f| port(f, PortState::Denied), "host.port", WARN),
    (
        |f| {
            known(&mut f.engine).rootless = true;
            port(f, PortState::Denied);
        },
        "host.port",
        BLOCK,
    ),
];

fn site(facts: &mut Facts) -> &mut Site {
    facts.subject.site.as_mut().unwrap()
}

fn port(facts: &mut Facts, state: PortState) {
    change(facts).port = Some(("0.0.0.0:80".parse().unwrap(), state));
}

/// Faults of an install over data that was kept.
pub(super) const KEPT: &[Case] = &[
    (
        |f| {
            upgrade(f);
            recorded(f).status = Status::Installed;
            recorded(f).current.bundle = Digest::of(b"another");
            recorded(f).current.release.version = "4.15.0".parse().unwrap();
        },
        "upgrade.path",
        BLOCK,
    ),
    (
        |f| {
            upgrades(f);
            host(f).memory.available = 1 << 19;
        },
        "upgrade.memory",
        BLOCK,
    ),
    (
        |f| recorded(f).engine = EngineKind::Podman,
        "appliance.other-engine",
        BLOCK,
    ),
    (
        |f| {
            known(&mut f.engine).data_root = "/srv/docker".to_owned();
            change(f).existing.volumes.clear();
        },
        "appliance.other-engine",
        BLOCK,
    ),
    (
        |f| {
            recorded(f).status = Status::Installed;
            recorded(f).current.bundle = Digest::of(b"another");
        },
        "appliance.already-installed",
        BLOCK,
    ),
    (
        |f| {
            upgrades(f);
            change(f).manifest.upgrade.from = vec!["=0.0.1".parse().unwrap()];
        },
        "upgrade.path",
        BLOCK,
    ),
    (
        |f| {
            upgrades(f);
            change(f).cold = Some(Err("a volume is out of reach".to_owned()));
        },
        "upgrade.path",
        BLOCK,
    ),
    (
        |f| {
            upgrades(f);
            f.schemas = vec![open(&[]), open(&["46"])];
        },
        "data.migrations",
        BLOCK,
    ),
    (
        |f| {
            upgrades(f);
            f.schemas = vec![open(&["20260813120000_add_x"]), open(&[])];
        },
        "data.migrations",
        BLOCK,
    ),
    (
        |f| recorded(f).current.release.name = "other".to_owned(),
        "appliance.other-release-line",
        BLOCK,
    ),
    (
        |f| {
            recorded(f)
                .highest_counters
                .insert("langfuse".to_owned(), 8);
        },
        "appliance.downgrade",
        BLOCK,
    ),
    (
        |f| recorded(f).current.release.version = "4.15.0".parse().unwrap(),
        "appliance.data-of-other-release",
        BLOCK,
    ),
    (
        |f| {
            let volumes = &mut change(f).existing.volumes;
            volumes.insert("lf-clickhouse-data".to_owned(), false);
        },
        "stack.volumes",
        BLOCK,
    ),
    (
        |f| f.subject.secrets = Secrets::Missing,
        "data.secrets",
        BLOCK,
    ),
    (
        |f| f.subject.secrets = Secrets::Changed(vec!["salt".to_owned()]),
        "data.secrets",
        BLOCK,
    ),
    (
        |f| f.now = f.subject.updated.unwrap() - jiff::SignedDuration::from_secs(301),
        "host.clock",
        WARN,
    ),
];
