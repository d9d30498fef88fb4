//! The stack: containers, configuration, data, and what leaves.

use crate::check::cause::Beneath;
use crate::check::definition::Check;
use crate::check::definition::When::{After, Before, Both};
use crate::check::{applied, backup, clients, data, egress, environment, stack, update};
use crate::facts::Probe;
use crate::stack::SchemaKind;

const HEALTH: &[Probe] = &[Probe::Health];
const SCHEMA: &[Probe] = &[Probe::Schema];
const SETTINGS: &[Probe] = &[Probe::Settings];
const CLIENTS: &[Probe] = &[Probe::Clients];
const EGRESS: &[Probe] = &[Probe::Egress];
const ENGINE: &[Beneath] = &[Beneath::Engine];
const GATEWAY: &[Beneath] = &[Beneath::Engine, Beneath::Gateway];
const WORKER: &[Beneath] = &[Beneath::Worker];
const WEB: &[Beneath] = &[Beneath::Gateway, Beneath::Web];
const LANGFUSE: &[Beneath] = &[Beneath::Web, Beneath::Worker];
const POSTGRES: &[Beneath] = &[Beneath::Database(SchemaKind::Prisma)];
const CLICKHOUSE: &[Beneath] = &[Beneath::Database(SchemaKind::GolangMigrate)];
const DATABASES: &[Beneath] = &[
    Beneath::Database(SchemaKind::Prisma),
    Beneath::Database(SchemaKind::GolangMigrate),
];
const REDIS: &[Beneath] = &[Beneath::Redis];
const ALL: &[Beneath] = &[Beneath::AllServices, Beneath::Web];

pub(super) const STACK: &[Check] = &[
    Check::new(
        "stack.images",
        "every container runs the image that was installed",
        After,
        stack::images,
    )
    .on(ENGINE),
    Check::new(
        "stack.services",
        "every service runs and is healthy",
        After,
        stack::services,
    )
    .on(ENGINE),
    Check::new(
        "stack.restarts",
        "no service keeps restarting",
        After,
        stack::restarts,
    )
    .on(ENGINE),
    Check::new(
        "stack.out-of-memory",
        "no service was killed for want of memory",
        After,
        stack::out_of_memory,
    )
    .on(ENGINE),
    Check::new("stack.volumes", "every volume exists", Both, stack::volumes)
        .formerly(&["appliance.data-missing"])
        .on(ENGINE),
    Check::new(
        "stack.stop-timeout",
        "services get the time they need to stop",
        After,
        stack::stop_timeout,
    )
    .on(ENGINE),
    Check::new(
        "stack.gateway",
        "the published port takes connections",
        After,
        stack::gateway,
    )
    .asks(HEALTH)
    .on(GATEWAY),
    Check::new(
        "stack.web-version",
        "web answers and is the installed version",
        After,
        stack::web_version,
    )
    .asks(HEALTH)
    .on(GATEWAY),
    Check::new(
        "stack.worker-health",
        "the worker reaches Postgres and Redis",
        After,
        stack::worker_health,
    )
    .asks(HEALTH)
    .on(WORKER),
    Check::new(
        "stack.sdk",
        "web takes the calls of the SDKs in use",
        After,
        clients::sdks,
    )
    .asks(CLIENTS)
    .on(GATEWAY),
    Check::new(
        "config.applied",
        "what runs matches site.toml",
        After,
        applied::applied,
    )
    .on(ENGINE),
    Check::new(
        "config.stock-secrets",
        "no secret is a published default",
        After,
        environment::stock_secrets,
    )
    .on(ENGINE),
    Check::new(
        "config.parity",
        "web and worker agree where they must",
        After,
        environment::parity,
    )
    .on(LANGFUSE),
    Check::new(
        "config.cluster-flag",
        "ClickHouse is used as a single node",
        After,
        environment::cluster_flag,
    )
    .on(LANGFUSE),
    Check::new(
        "config.auto-migration",
        "web does not migrate by itself",
        After,
        environment::auto_migration,
    )
    .on(LANGFUSE),
    Check::new(
        "data.secrets",
        "secrets.toml is the one that the data was made with",
        Both,
        data::secrets,
    )
    .formerly(&[
        "appliance.secrets-changed",
        "appliance.data-without-secrets",
    ]),
    Check::new(
        "data.migrations",
        "every migration that began in the databases has ended",
        Before,
        data::open_migrations,
    )
    .on(ENGINE),
    Check::new(
        "data.postgres-schema",
        "Postgres's schema is the release's",
        After,
        data::postgres_schema,
    )
    .asks(SCHEMA)
    .on(POSTGRES),
    Check::new(
        "data.clickhouse-schema",
        "ClickHouse's schema is the release's",
        After,
        data::clickhouse_schema,
    )
    .asks(SCHEMA)
    .on(CLICKHOUSE),
    Check::new(
        "data.background-migrations",
        "no background migration has failed",
        After,
        data::background_migrations,
    )
    .asks(SCHEMA)
    .on(POSTGRES),
    Check::new(
        "data.clickhouse-version",
        "ClickHouse is not a version that loses data",
        After,
        data::clickhouse_version,
    )
    .asks(SETTINGS)
    .on(CLICKHOUSE),
    Check::new(
        "data.time-zone",
        "the databases count time in UTC",
        After,
        data::time_zone,
    )
    .asks(SETTINGS)
    .on(DATABASES),
    Check::new(
        "data.redis-eviction",
        "Redis never drops a queued event",
        After,
        data::redis_eviction,
    )
    .asks(SETTINGS)
    .on(REDIS),
    Check::new(
        "data.end-to-end",
        "an event goes in and can be read back",
        After,
        data::end_to_end,
    )
    .asks(&[Probe::Event, Probe::Health])
    .on(ALL)
    .proves(),
    Check::new(
        "backup.last",
        "there is a backup, and it is not old",
        After,
        backup::last,
    ),
    Check::new(
        "backup.password",
        "this host can open its backups",
        After,
        backup::password,
    ),
    Check::new(
        "backup.drill",
        "a backup was seen to restore, and not long ago",
        Both,
        backup::drilled,
    ),
    Check::new(
        "egress.update-check",
        "the update check fails at once and harmlessly",
        After,
        update::update_check,
    )
    .asks(&[Probe::Update, Probe::Health])
    .on(WEB)
    .proves(),
    Check::new(
        "egress.call-home",
        "hosts that are known to be called fail at once",
        After,
        egress::call_home,
    )
    .asks(EGRESS)
    .on(LANGFUSE)
    .proves(),
    Check::new(
        "egress.no-route",
        "nothing outside can be reached",
        After,
        egress::no_route,
    )
    .asks(EGRESS)
    .on(LANGFUSE)
    .proves(),
    Check::new(
        "egress.networks",
        "the stack's network has no way out, and only the gateway is published",
        After,
        egress::networks,
    )
    .on(ENGINE)
    .proves(),
    Check::new(
        "egress.switches",
        "everything that calls home is switched off",
        After,
        egress::switches,
    )
    .asks(SETTINGS)
    .on(&[Beneath::AllServices])
    .proves(),
    Check::new(
        "egress.exporters",
        "no traces or metrics are sent anywhere",
        After,
        egress::exporters,
    )
    .on(LANGFUSE)
    .proves(),
    Check::new(
        "egress.credentials",
        "no credential is fetched from a cloud",
        After,
        egress::credentials,
    )
    .on(LANGFUSE)
    .proves(),
];
