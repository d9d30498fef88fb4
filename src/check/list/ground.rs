//! What everything stands on: the appliance, the bundle, the engine, the host.

use crate::check::cause::Beneath;
use crate::check::definition::Check;
use crate::check::definition::When::{After, Before, Both};
use crate::check::{appliance, boot, bundle, engine, firewall, host, second_web, tls};
use crate::facts::Probe;

const HOST: &[Probe] = &[Probe::Host];
const ENGINE: &[Beneath] = &[Beneath::Engine];

pub(super) const GROUND: &[Check] = &[
    Check::new(
        "appliance.unfinished",
        "no change of the appliance broke off",
        Both,
        appliance::unfinished,
    ),
    Check::new(
        "bundle.incomplete",
        "every layer is in the bundle, in one that it builds on, or in the engine",
        Before,
        bundle::incomplete,
    ),
    Check::new(
        "appliance.not-recorded",
        "what the engine holds of the appliance is on record",
        Before,
        appliance::not_recorded,
    ),
    Check::new(
        "appliance.other-engine",
        "the appliance lives in this engine",
        Before,
        appliance::other_engine,
    )
    .on(ENGINE),
    Check::new(
        "appliance.already-installed",
        "no other bundle is installed under this name",
        Before,
        appliance::already_installed,
    ),
    Check::new(
        "upgrade.path",
        "the bundle may replace the release that runs",
        Before,
        appliance::upgrade_path,
    ),
    Check::new(
        "appliance.other-release-line",
        "the data belongs to the release line of the bundle",
        Before,
        appliance::other_release_line,
    ),
    Check::new(
        "appliance.downgrade",
        "the bundle is not older than what the appliance has run",
        Before,
        appliance::downgrade,
    ),
    Check::new(
        "appliance.data-of-other-release",
        "the data that is kept belongs to the release of the bundle",
        Before,
        appliance::data_of_other_release,
    ),
    Check::new(
        "engine.reachable",
        "the container engine answers",
        Both,
        engine::reachable,
    ),
    Check::new(
        "engine.version",
        "the engine is one that lfctl is tested with",
        Both,
        engine::version,
    )
    .on(ENGINE),
    Check::new(
        "engine.boot",
        "the stack comes back after a reboot",
        Both,
        boot::comes_back,
    )
    .asks(HOST)
    .on(ENGINE),
    Check::new(
        "egress.firewall",
        "the host's firewall drops new connections of the gateway",
        Both,
        firewall::firewall,
    )
    .asks(HOST)
    .on(ENGINE),
    Check::new(
        "engine.daemon-proxy",
        "the engine uses no proxy",
        Both,
        engine::daemon_proxy,
    )
    .formerly(&["engine.proxy"])
    .on(ENGINE),
    Check::new(
        "engine.platform",
        "the engine runs what the bundle holds",
        Before,
        engine::platform,
    )
    .on(ENGINE),
    Check::new(
        "engine.rootless-tls",
        "lfctl can reach the gateway behind its TLS",
        Before,
        engine::rootless_tls,
    )
    .on(ENGINE),
    Check::new(
        "engine.foreign-object",
        "the names that the appliance needs are free",
        Before,
        engine::foreign_object,
    ),
    Check::new(
        "engine.nofile",
        "the engine may open as many files as the services ask for",
        Before,
        engine::nofile,
    )
    .on(ENGINE),
    Check::new(
        "host.memory",
        "the host has the memory the stack needs",
        Both,
        host::memory,
    )
    .asks(HOST),
    Check::new(
        "upgrade.memory",
        "there is memory for a second web server",
        Before,
        second_web::memory,
    )
    .asks(HOST),
    Check::new(
        "host.cpu",
        "the host has the CPUs the stack needs",
        Both,
        host::cpu,
    )
    .formerly(&["host.cpus", "host.cpu-flags"])
    .asks(HOST),
    Check::new(
        "host.disk-space",
        "there is room on every filesystem in use",
        Both,
        host::disk_space,
    )
    .asks(HOST),
    Check::new(
        "host.filesystem",
        "data is on local filesystems",
        Both,
        host::filesystem,
    )
    .asks(HOST),
    Check::new(
        "host.clock",
        "the clock has not gone back",
        Both,
        host::clock,
    ),
    Check::new("config.site", "site.toml is valid", After, host::site),
    Check::new(
        "host.audit",
        "no line of the audit logs was changed or removed",
        After,
        host::audit,
    ),
    Check::new(
        "host.port",
        "the gateway can listen where site.toml says",
        Before,
        host::port,
    )
    .on(ENGINE),
    Check::new(
        "host.url",
        "the address in site.toml is one that others can use",
        Both,
        host::url,
    ),
    Check::new(
        "bundle.old",
        "the bundle is less than half a year old",
        Before,
        bundle::old,
    ),
    Check::new(
        "tls.expiry",
        "the certificate is valid for another month",
        Both,
        tls::expiry,
    ),
    Check::new(
        "tls.name",
        "the certificate is for the host in url",
        Both,
        tls::name,
    ),
    Check::new(
        "tls.strength",
        "clients accept the strength of the certificate",
        Both,
        tls::strength,
    ),
    Check::new(
        "tls.key-file",
        "only its owner can read the private key",
        Both,
        tls::key_file,
    ),
];
