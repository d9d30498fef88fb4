//! The data: schemas, settings of the datastores, and an event end to end.

use super::appliance::recorded;
use super::cause::{Beneath, broke_off, require};
use super::change::change;
use super::outcome::{Outcome, Unknown, want};
use super::remedy::{engine_command, install_again, read_logs};
use crate::facts::Facts;
use crate::facts::subject::Secrets;
use crate::langfuse::ProbeError;
use crate::langfuse::schema::{SchemaState, SchemaVerdict};
use crate::report::finding::Remedy;
use crate::stack::{Schema, SchemaKind};
use crate::sys::text::chain;

/// From here on ClickHouse drops what both lines of Langfuse write, while
/// every health check stays green.
const CLICKHOUSE_LOSES_DATA: (u64, u64) = (26, 8);
/// What `prisma migrate resolve --rolled-back` does.
const CLOSE_PRISMA: &str = "UPDATE _prisma_migrations SET rolled_back_at = now() \
     WHERE finished_at IS NULL AND rolled_back_at IS NULL";
/// What `migrate force` does with the last version that was reached whole. The
/// newest row counts, and a clock that went back must not hide it.
const CLOSE_GOLANG_MIGRATE: &str = "INSERT INTO schema_migrations (version, dirty, sequence) \
     SELECT argMaxIf(version, sequence, dirty = 0), 0, max(sequence) + 1 FROM schema_migrations";
/// Slower than this, an event is late but not lost.
const READABLE_SLOW_MS: u64 = 15_000;

pub(super) fn secrets(facts: &Facts) -> Result<Outcome, Unknown> {
    let is_before = facts.change.is_some();
    if is_before {
        recorded(facts)?;
    }
    if facts
        .change
        .as_ref()
        .is_some_and(|change| !change.existing.holds_data())
    {
        return Ok(Outcome::not_applicable("there is no data yet"));
    }
    let (message, evidence) = match &facts.subject.secrets {
        Secrets::Same(count) => {
            return Ok(Outcome::pass(format!(
                "the {count} that must never change are those on record"
            )));
        }
        Secrets::Missing => {
            if let Some(cause) = broke_off(facts) {
                return Err(Unknown::Beneath(cause));
            }
            (
                "secrets.toml is missing",
                "the file does not exist".to_owned(),
            )
        }
        Secrets::Changed(names) => (
            "secrets are not the ones that the data was made with",
            names.join(", "),
        ),
    };
    let web = facts.subject.container(&facts.subject.stack.langfuse.web);
    let remedy = if is_before {
        Remedy::command(
            "put secrets.toml back from your copy, or remove the data for good",
            format!("lfctl uninstall --name {} --purge", facts.subject.name),
        )
    } else {
        Remedy::command(
            "put secrets.toml back from your copy before anything is started again; what runs still \
             has the right ones in its environment",
            engine_command(facts, &format!("inspect {web}")),
        )
    };
    Ok(Outcome::blocking(message, evidence, remedy))
}

pub(super) fn postgres_schema(facts: &Facts) -> Result<Outcome, Unknown> {
    schema(facts, SchemaKind::Prisma)
}

pub(super) fn clickhouse_schema(facts: &Facts) -> Result<Outcome, Unknown> {
    schema(facts, SchemaKind::GolangMigrate)
}

fn schema(facts: &Facts, kind: SchemaKind) -> Result<Outcome, Unknown> {
    let schemas = &facts.subject.stack.schemas;
    let Some(at) = schemas.iter().position(|schema| schema.kind == kind) else {
        return Ok(Outcome::not_applicable("the stack has no such schema"));
    };
    let state = facts
        .schemas
        .get(at)
        .ok_or_else(|| Unknown::new("not asked for"))
        .and_then(want)?;
    if state.verdict(&schemas[at]) == SchemaVerdict::Behind
        && let Some(cause) = broke_off(facts)
    {
        return Err(Unknown::Beneath(cause));
    }
    Ok(judge_schema(facts, &schemas[at], state))
}

fn judge_schema(facts: &Facts, schema: &Schema, state: &SchemaState) -> Outcome {
    let last = state.last.as_deref().unwrap_or("none");
    let evidence = format!(
        "{} applied, last {last}; the release has {} up to {}",
        state.applied, schema.count, schema.last
    );
    match state.verdict(schema) {
        SchemaVerdict::Current => Outcome::pass(format!("{} applied, last {last}", state.applied)),
        SchemaVerdict::Behind => Outcome::blocking(
            "migrations of the release are missing",
            evidence,
            install_again(
                facts,
                "run install again with the bundle: it runs the migration job",
            ),
        ),
        SchemaVerdict::Ahead if serves_this_one(facts, schema, state) => Outcome::pass(format!(
            "{} applied, last {last}, of a later release whose migrations only add",
            state.applied
        )),
        SchemaVerdict::Ahead => Outcome::blocking(
            "the database was migrated by a newer release than the one that runs",
            evidence,
            install_again(
                facts,
                "install the newer release; an older one cannot go back",
            ),
        ),
        SchemaVerdict::Differs => Outcome::warning(
            "the number of migrations is not the release's, although the last one is",
            evidence,
            Remedy::text("ask who else migrates this database; nothing is known to be broken"),
        ),
        SchemaVerdict::Open => open_migration(facts, schema, state),
    }
}

/// Whether a later release on record brought the schema here, or part of the
/// way to its own, and the one that runs can work on that.
fn serves_this_one(facts: &Facts, schema: &Schema, state: &SchemaState) -> bool {
    let levels = facts.subject.additive.get(&schema.service);
    let (Some(mut levels), Some(last)) = (levels.map(|levels| levels.iter()), &state.last) else {
        return false;
    };
    match schema.kind {
        // Names begin with the time at which a migration was written.
        SchemaKind::Prisma => levels.any(|level| last <= level),
        SchemaKind::GolangMigrate => {
            let number = |version: &str| version.parse::<u64>().ok();
            levels.any(|level| {
                number(last)
                    .zip(number(level))
                    .is_some_and(|(last, level)| last <= level)
            })
        }
    }
}

fn open_migration(facts: &Facts, schema: &Schema, state: &SchemaState) -> Outcome {
    let (text, close) = match schema.kind {
        SchemaKind::Prisma => (
            "fix what its row in `_prisma_migrations` names under `logs`, then mark it as rolled \
             back: the next migration runs it again",
            CLOSE_PRISMA,
        ),
        SchemaKind::GolangMigrate => (
            "take back by hand what it had done, then set the version back to the last whole one: \
             the next migration runs it again from its start",
            CLOSE_GOLANG_MIGRATE,
        ),
    };
    Outcome::blocking(
        format!("a migration of {} began and did not end", schema.service),
        format!("open: {}", state.open.join(", ")),
        Remedy::command(text, sql(facts, schema, close)),
    )
}

/// Before an upgrade: a migration tool refuses to go past a migration that did
/// not end, so the upgrade would fail in its window.
pub(super) fn open_migrations(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let runs = change.recorded.as_ref().filter(|_| change.is_upgrade);
    let Some(runs) = runs else {
        return Ok(Outcome::not_applicable("only an upgrade goes past them"));
    };
    let mut levels = Ok(Vec::new());
    for (at, schema) in runs.stack.schemas.iter().enumerate() {
        let state = facts.schemas.get(at);
        match state
            .ok_or_else(|| Unknown::new("not asked for"))
            .and_then(want)
        {
            // Whatever the other database says, or does not.
            Ok(state) if !state.open.is_empty() => return Ok(open_migration(facts, schema, state)),
            Ok(state) => {
                if let Ok(levels) = &mut levels {
                    levels.push(state.last.as_deref().unwrap_or("none"));
                }
            }
            Err(unknown) => levels = Err(unknown),
        }
    }
    Ok(Outcome::pass(format!("closed at {}", levels?.join(", "))))
}

pub(super) fn background_migrations(facts: &Facts) -> Result<Outcome, Unknown> {
    let failed = want(&facts.background)?;
    let Some(first) = failed.first() else {
        return Ok(Outcome::pass("none has failed"));
    };
    let evidence = failed
        .iter()
        .map(|one| format!("{}: {}", one.name, one.reason))
        .collect::<Vec<_>>()
        .join("; ");
    let retry = format!(
        "UPDATE background_migrations SET failed_at = NULL, failed_reason = NULL WHERE name = '{}'",
        first.name.replace('\'', "''")
    );
    let schemas = &facts.subject.stack.schemas;
    let postgres = schemas
        .iter()
        .find(|schema| schema.kind == SchemaKind::Prisma);
    Ok(Outcome::blocking(
        "a background migration failed and nothing retries it",
        evidence,
        Remedy {
            text: format!(
                "fix what it names, clear the row, then restart {} so that it tries again",
                facts
                    .subject
                    .container(&facts.subject.stack.langfuse.worker)
            ),
            command: postgres.map(|postgres| sql(facts, postgres, &retry)),
        },
    ))
}

/// A statement as the operator types it, as root: quoted, since a part of it
/// may come out of the database.
fn sql(facts: &Facts, schema: &Schema, statement: &str) -> String {
    let container = facts.subject.container(&schema.service);
    let query = schema.query.iter().map(String::as_str);
    let words = query.filter(|word| !word.is_empty()).chain([statement]);
    let typed = shell_words::join(words);
    engine_command(facts, &format!("exec {container} {typed}"))
}

pub(super) fn clickhouse_version(facts: &Facts) -> Result<Outcome, Unknown> {
    let server = server(facts, SchemaKind::GolangMigrate)?;
    let mut numbers = server.version.split('.').map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(Unknown::new(format!(
            "`{}` is not a version",
            server.version
        )));
    };
    let evidence = format!("ClickHouse {}", server.version);
    if (major, minor) < CLICKHOUSE_LOSES_DATA {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        "this ClickHouse silently drops what Langfuse writes",
        evidence,
        install_again(
            facts,
            "run the ClickHouse of the bundle: from 26.8 on, events are lost while every health \
             check stays green",
        ),
    ))
}

fn server(
    facts: &Facts,
    kind: SchemaKind,
) -> Result<&crate::langfuse::schema::ServerFacts, Unknown> {
    let at = facts
        .subject
        .stack
        .schemas
        .iter()
        .position(|schema| schema.kind == kind)
        .ok_or_else(|| Unknown::new("the stack has no such server"))?;
    facts
        .servers
        .get(at)
        .ok_or_else(|| Unknown::new("not asked for"))
        .and_then(want)
}

pub(super) fn time_zone(facts: &Facts) -> Result<Outcome, Unknown> {
    let servers = [
        server(facts, SchemaKind::Prisma)?,
        server(facts, SchemaKind::GolangMigrate)?,
    ];
    let evidence = servers
        .map(|server| {
            format!(
                "{} {}: {}",
                server.service, server.version, server.time_zone
            )
        })
        .join(", ");
    let utc = ["UTC", "Etc/UTC", "UCT", "Etc/UCT", "Zulu", "Universal"];
    if servers
        .iter()
        .all(|server| utc.contains(&server.time_zone.as_str()))
    {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        "a database is not in UTC, so queries by time come back empty or shifted",
        evidence,
        install_again(facts, "run install again with the bundle: it sets TZ=UTC"),
    ))
}

pub(super) fn redis_eviction(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some(policy) = &facts.eviction else {
        return Ok(Outcome::not_applicable(
            "no Redis that answers without a password in an argument",
        ));
    };
    let policy = want(policy)?;
    let evidence = format!("maxmemory-policy {policy}");
    if policy == "noeviction" {
        return Ok(Outcome::pass(evidence));
    }
    let redis = crate::facts::settings::redis(&facts.subject.stack)
        .map_or_else(String::new, |redis| facts.subject.container(&redis.name));
    Ok(Outcome::blocking(
        "Redis drops queued events when its memory is full",
        evidence,
        Remedy::command(
            "somebody changed it while Redis ran: restart it, so that it reads its file again",
            engine_command(facts, &format!("restart {redis}")),
        ),
    ))
}

pub(super) fn end_to_end(facts: &Facts) -> Result<Outcome, Unknown> {
    let langfuse = &facts.subject.stack.langfuse;
    let error = match want(&facts.event)? {
        Ok(trip) => {
            let evidence = format!(
                "accepted in {} ms, readable {} ms later",
                trip.accepted_ms, trip.readable_ms
            );
            return Ok(if trip.readable_ms <= READABLE_SLOW_MS {
                Outcome::pass(evidence)
            } else {
                Outcome::warning(
                    "events arrive late",
                    evidence,
                    read_logs(facts, &langfuse.worker, "see what keeps the worker busy"),
                )
            });
        }
        Err(error) => error,
    };
    require(facts, &[Beneath::AllServices, Beneath::Web])?;
    let (service, text) = match error {
        ProbeError::Unauthorized { .. } => (
            &langfuse.web,
            "the key pair lfctl made at installation no longer holds: if it was deleted in the web \
             pages, make another and put it into secrets.toml",
        ),
        ProbeError::Missing { .. } => (
            &langfuse.worker,
            "web took the event, so look at the worker, then at the blob store and ClickHouse: \
             health checks stay green when these are stuck",
        ),
        _ => (
            &langfuse.web,
            "web could not take the event: it needs Redis and the blob store for that",
        ),
    };
    Ok(Outcome::blocking(
        "an event that is sent cannot be read back",
        chain(error),
        read_logs(facts, service, text),
    ))
}
