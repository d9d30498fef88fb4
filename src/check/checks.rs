//! The list of checks.

use super::{Check, data, egress, engine, environment, host, stack};
use crate::facts::Probe;

const HOST: &[Probe] = &[Probe::Host];
const HEALTH: &[Probe] = &[Probe::Health];
const SCHEMA: &[Probe] = &[Probe::Schema];
const SETTINGS: &[Probe] = &[Probe::Settings];
const EGRESS: &[Probe] = &[Probe::Egress];

/// Every check, in the order in which they are shown: each tends to explain
/// the ones after it.
pub const CHECKS: &[Check] = &[
    Check::new(
        "engine.reachable",
        "the container engine answers",
        &[],
        engine::reachable,
    ),
    Check::new(
        "engine.version",
        "the engine is one that lfctl is tested with",
        &[],
        engine::version,
    ),
    Check::new(
        "engine.daemon-proxy",
        "the engine uses no proxy",
        &[],
        engine::daemon_proxy,
    ),
    Check::new(
        "host.memory",
        "the host has the memory the stack needs",
        HOST,
        host::memory,
    ),
    Check::new(
        "host.cpu",
        "the host has the CPUs the stack needs",
        HOST,
        host::cpu,
    ),
    Check::new(
        "host.disk-space",
        "there is room on every filesystem in use",
        HOST,
        host::disk_space,
    ),
    Check::new(
        "host.filesystem",
        "data lies on local filesystems",
        HOST,
        host::filesystem,
    ),
    Check::new(
        "host.clock",
        "the clock has not gone back",
        &[],
        host::clock,
    ),
    Check::new(
        "stack.images",
        "every container runs the image that was installed",
        &[],
        stack::images,
    ),
    Check::new(
        "stack.services",
        "every service runs and is healthy",
        &[],
        stack::services,
    ),
    Check::new(
        "stack.restarts",
        "no service keeps restarting",
        &[],
        stack::restarts,
    ),
    Check::new(
        "stack.out-of-memory",
        "no service was killed for want of memory",
        &[],
        stack::out_of_memory,
    ),
    Check::new("stack.volumes", "every volume exists", &[], stack::volumes),
    Check::new(
        "stack.stop-timeout",
        "services get the time they need to stop",
        &[],
        stack::stop_timeout,
    ),
    Check::new(
        "stack.gateway",
        "the published port takes connections",
        HEALTH,
        stack::gateway,
    ),
    Check::new(
        "stack.web-version",
        "web answers and is the installed version",
        HEALTH,
        stack::web_version,
    ),
    Check::new(
        "stack.worker-health",
        "the worker reaches Postgres and Redis",
        HEALTH,
        stack::worker_health,
    ),
    Check::new(
        "config.stock-secrets",
        "no secret is a published default",
        &[],
        environment::stock_secrets,
    ),
    Check::new(
        "config.parity",
        "web and worker agree where they must",
        &[],
        environment::parity,
    ),
    Check::new(
        "config.cluster-flag",
        "ClickHouse is used as a single node",
        &[],
        environment::cluster_flag,
    ),
    Check::new(
        "config.auto-migration",
        "web does not migrate by itself",
        &[],
        environment::auto_migration,
    ),
    Check::new(
        "data.secrets",
        "secrets.toml is the one that the data was made with",
        &[],
        data::secrets,
    ),
    Check::new(
        "data.postgres-schema",
        "Postgres's schema is the release's",
        SCHEMA,
        data::postgres_schema,
    ),
    Check::new(
        "data.clickhouse-schema",
        "ClickHouse's schema is the release's",
        SCHEMA,
        data::clickhouse_schema,
    ),
    Check::new(
        "data.background-migrations",
        "no background migration has failed",
        SCHEMA,
        data::background_migrations,
    ),
    Check::new(
        "data.clickhouse-version",
        "ClickHouse is no version that loses data",
        SETTINGS,
        data::clickhouse_version,
    ),
    Check::new(
        "data.time-zone",
        "the databases count time in UTC",
        SETTINGS,
        data::time_zone,
    ),
    Check::new(
        "data.redis-eviction",
        "Redis never drops a queued event",
        SETTINGS,
        data::redis_eviction,
    ),
    Check::new(
        "data.end-to-end",
        "an event goes in and can be read back",
        &[Probe::Event],
        data::end_to_end,
    ),
    Check::new(
        "egress.update-check",
        "the update check fails at once and harmlessly",
        &[Probe::Update],
        egress::update_check,
    ),
    Check::new(
        "egress.call-home",
        "hosts that are known to be called fail at once",
        EGRESS,
        egress::call_home,
    ),
    Check::new(
        "egress.no-route",
        "nothing outside can be reached",
        EGRESS,
        egress::no_route,
    ),
    Check::new(
        "egress.networks",
        "the stack's network has no way out, and only the gateway is published",
        &[],
        egress::networks,
    ),
    Check::new(
        "egress.switches",
        "everything that calls home is switched off",
        SETTINGS,
        egress::switches,
    ),
    Check::new(
        "egress.exporters",
        "no traces or metrics are sent anywhere",
        &[],
        egress::exporters,
    ),
    Check::new(
        "egress.credentials",
        "no credential is fetched from a cloud",
        &[],
        egress::credentials,
    ),
];
