//! The data.

use std::time::Duration;

use super::table::{BLOCK, Case, WARN, known};
use crate::facts::Fact;
use crate::facts::subject::Secrets;
use crate::langfuse::ProbeError;
use crate::langfuse::schema::FailedMigration;

/// Faults of the data.
pub(super) const DATA: &[Case] = &[
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
        |f| known(&mut f.schemas[0]).applied = 431,
        "data.postgres-schema",
        BLOCK,
    ),
    (
        |f| known(&mut f.schemas[0]).applied = 433,
        "data.postgres-schema",
        WARN,
    ),
    (
        |f| known(&mut f.schemas[0]).open.push("x".to_owned()),
        "data.postgres-schema",
        BLOCK,
    ),
    (
        |f| known(&mut f.schemas[1]).last = Some("47".to_owned()),
        "data.clickhouse-schema",
        BLOCK,
    ),
    (
        |f| known(&mut f.schemas[1]).open.push("46".to_owned()),
        "data.clickhouse-schema",
        BLOCK,
    ),
    (
        |f| {
            known(&mut f.background).push(FailedMigration {
                name: "a".to_owned(),
                reason: "b".to_owned(),
            });
        },
        "data.background-migrations",
        BLOCK,
    ),
    (
        |f| known(&mut f.servers[1]).version = "26.8.1.3".to_owned(),
        "data.clickhouse-version",
        BLOCK,
    ),
    (
        |f| known(&mut f.servers[0]).time_zone = "Europe/Berlin".to_owned(),
        "data.time-zone",
        BLOCK,
    ),
    (
        |f| f.eviction = Some(Fact::Known("allkeys-lru".to_owned())),
        "data.redis-eviction",
        BLOCK,
    ),
    (
        |f| *known(&mut f.event) = Err(ProbeError::Unauthorized { status: 401 }),
        "data.end-to-end",
        BLOCK,
    ),
    (
        |f| {
            *known(&mut f.event) = Err(ProbeError::Missing {
                limit: Duration::from_secs(20),
                last: "status 200".to_owned(),
            });
        },
        "data.end-to-end",
        BLOCK,
    ),
    (
        |f| known(&mut f.event).as_mut().unwrap().readable_ms = 16_000,
        "data.end-to-end",
        WARN,
    ),
];
