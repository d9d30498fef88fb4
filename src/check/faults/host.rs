//! The host and the engine.

use super::table::{BLOCK, Case, WARN, disk, host, known, updated};
use crate::facts::Fact;

/// Faults of the host and the engine.
pub(super) const HOST: &[Case] = &[
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
        |f| {
            let boot = known(&mut f.boot).as_mut().unwrap();
            boot.units.insert("docker.service", false);
        },
        "engine.boot",
        WARN,
    ),
    (|f| host(f).memory.total = 4 << 30, "host.memory", BLOCK),
    (|f| host(f).memory.total = 10 << 30, "host.memory", WARN),
    (|f| host(f).cpu.count = 1, "host.cpu", WARN),
    (|f| host(f).cpu.flags.clear(), "host.cpu", BLOCK),
    (|f| disk(f).free = 9 << 30, "host.disk-space", WARN),
    (|f| disk(f).free = 1 << 29, "host.disk-space", BLOCK),
    (
        |f| disk(f).fs_type = "nfs4".to_owned(),
        "host.filesystem",
        BLOCK,
    ),
    (
        |f| {
            let site = f.subject.site.as_mut().unwrap();
            site.url = "http://localhost.localdomain".to_owned();
            // Its certificate is for another name.
            f.subject.certificate = None;
        },
        "host.url",
        WARN,
    ),
    (
        |f| f.subject.site.as_mut().unwrap().url = "http://127.0.0.1:8080".to_owned(),
        "host.url",
        WARN,
    ),
    (
        |f| f.subject.site_problem = Some("line 3".to_owned()),
        "config.site",
        BLOCK,
    ),
    (
        |f| known(&mut f.subject.audit).problems.push("cut".to_owned()),
        "host.audit",
        WARN,
    ),
    (
        |f| f.now = updated(f) - jiff::Span::new().hours(1),
        "host.clock",
        BLOCK,
    ),
];
