//! The state of both schemas, read from the databases themselves.
//!
//! The bookkeeping tables of the migration tools tell how far each schema is
//! and whether a migration stopped in the middle. `install` reads them after
//! the migration job, `doctor` at any time. What the servers say of version
//! and time zone is read the same way.

use std::time::Duration;

use serde::Serialize;

use super::query::{QueryError, exec};
use crate::engine::ContainerEngine;
use crate::stack::{Schema, SchemaKind};
use crate::sys::text::one_line;

/// How long one query may take.
const QUERY_LIMIT: Duration = Duration::from_secs(30);

/// A row without `finished_at` and `rolled_back_at` blocks every later
/// migration (P3009).
const PRISMA: &str = "SELECT 'applied', count(DISTINCT migration_name)::text \
     FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL \
     UNION ALL SELECT 'last', max(migration_name COLLATE \"C\") \
     FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL \
     UNION ALL SELECT 'open', migration_name \
     FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL";
/// The table is only appended to: the current state is the row with the
/// highest sequence, not the one with the highest version.
const GOLANG_MIGRATE: &str =
    "SELECT version, dirty FROM schema_migrations ORDER BY sequence DESC LIMIT 1";
const FAILED_BACKGROUND: &str = "SELECT name, \
     translate(left(coalesce(failed_reason, ''), 200), E'\\t\\n\\r', '   ') \
     FROM background_migrations WHERE failed_at IS NOT NULL ORDER BY name";
const POSTGRES_SERVER: &str =
    "SELECT current_setting('server_version'), current_setting('TimeZone')";
const CLICKHOUSE_SERVER: &str = "SELECT version(), timezone()";

/// How far a schema is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SchemaState {
    /// Migrations that are applied.
    pub applied: u32,
    /// The last of them: a name (Prisma) or a number (golang-migrate).
    pub last: Option<String>,
    /// Migrations that began and did not end.
    pub open: Vec<String>,
}

/// How a schema stands to its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaVerdict {
    /// Exactly what the release brings.
    Current,
    /// Migrations are missing.
    Behind,
    /// The database has seen a newer release.
    Ahead,
    /// The last migration fits, the number of migrations does not.
    Differs,
    /// A migration began and did not end.
    Open,
}

impl SchemaState {
    /// Compares with what the release brings.
    pub fn verdict(&self, schema: &Schema) -> SchemaVerdict {
        if !self.open.is_empty() {
            return SchemaVerdict::Open;
        }
        let order = match (&self.last, schema.kind) {
            (None, _) => return SchemaVerdict::Behind,
            // Prisma's names begin with a time stamp.
            (Some(last), SchemaKind::Prisma) => last.as_str().cmp(&schema.last),
            (Some(last), SchemaKind::GolangMigrate) => number(last).cmp(&number(&schema.last)),
        };
        match (order, schema.kind) {
            (std::cmp::Ordering::Less, _) => SchemaVerdict::Behind,
            (std::cmp::Ordering::Greater, _) => SchemaVerdict::Ahead,
            (std::cmp::Ordering::Equal, SchemaKind::GolangMigrate) => SchemaVerdict::Current,
            (std::cmp::Ordering::Equal, SchemaKind::Prisma) => {
                match self.applied.cmp(&schema.count) {
                    std::cmp::Ordering::Less => SchemaVerdict::Behind,
                    std::cmp::Ordering::Equal => SchemaVerdict::Current,
                    std::cmp::Ordering::Greater => SchemaVerdict::Differs,
                }
            }
        }
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}

/// A background migration that failed. Nothing retries it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedMigration {
    pub name: String,
    /// Beginning of Langfuse's words.
    pub reason: String,
}

/// What a database server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerFacts {
    /// The service it runs in.
    pub service: String,
    /// Whose bookkeeping it keeps, which tells Postgres from `ClickHouse`.
    pub kind: SchemaKind,
    /// Version, as it prints it.
    pub version: String,
    /// Time zone, as it prints it.
    pub time_zone: String,
}

/// Reads the state of a schema in `container`.
///
/// # Errors
///
/// The query could not be run, or its table does not exist yet.
pub async fn schema_state(
    engine: &impl ContainerEngine,
    container: &str,
    schema: &Schema,
) -> Result<SchemaState, QueryError> {
    let (sql, parse): (_, fn(&str) -> Option<SchemaState>) = match schema.kind {
        SchemaKind::Prisma => (PRISMA, parse_prisma),
        SchemaKind::GolangMigrate => (GOLANG_MIGRATE, parse_golang_migrate),
    };
    let output = query(engine, container, &schema.query, sql).await?;
    parse(&output).ok_or_else(|| QueryError::Format {
        what: format!("state of the schema in {container}"),
        text: one_line(&output),
    })
}

/// Reads the background migrations that failed.
pub async fn failed_background_migrations(
    engine: &impl ContainerEngine,
    container: &str,
    schema: &Schema,
) -> Result<Vec<FailedMigration>, QueryError> {
    let output = query(engine, container, &schema.query, FAILED_BACKGROUND).await?;
    Ok(parse_background(&output))
}

/// Asks a database server for version and time zone.
pub async fn server_facts(
    engine: &impl ContainerEngine,
    container: &str,
    schema: &Schema,
) -> Result<ServerFacts, QueryError> {
    let sql = match schema.kind {
        SchemaKind::Prisma => POSTGRES_SERVER,
        SchemaKind::GolangMigrate => CLICKHOUSE_SERVER,
    };
    // A client that has these variables tells the server its own time zone.
    let mut command: Vec<String> = ["env", "-u", "PGTZ", "-u", "TZ"].map(str::to_owned).into();
    command.extend_from_slice(&schema.query);
    let output = query(engine, container, &command, sql).await?;
    match rows(&output).next().as_deref() {
        Some([version, time_zone]) => Ok(ServerFacts {
            service: schema.service.clone(),
            kind: schema.kind,
            version: (*version).to_owned(),
            time_zone: (*time_zone).to_owned(),
        }),
        _ => Err(QueryError::Format {
            what: format!("version and time zone of {container}"),
            text: one_line(&output),
        }),
    }
}

async fn query(
    engine: &impl ContainerEngine,
    container: &str,
    command: &[String],
    sql: &str,
) -> Result<String, QueryError> {
    let mut command = command.to_vec();
    command.push(sql.to_owned());
    exec(engine, container, &command, QUERY_LIMIT).await
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim_end_matches('\r').split('\t').collect())
}

fn parse_prisma(text: &str) -> Option<SchemaState> {
    let mut state = SchemaState::default();
    let mut counted = false;
    for row in rows(text) {
        match row.as_slice() {
            ["applied", count] => {
                state.applied = count.parse().ok()?;
                counted = true;
            }
            ["last", name] => state.last = Some((*name).to_owned()).filter(|name| !name.is_empty()),
            ["open", name] => state.open.push((*name).to_owned()),
            _ => return None,
        }
    }
    counted.then_some(state)
}

fn parse_golang_migrate(text: &str) -> Option<SchemaState> {
    let mut rows = rows(text);
    let Some(row) = rows.next() else {
        // An empty table: nothing was ever applied.
        return Some(SchemaState::default());
    };
    let [version, dirty] = row.as_slice() else {
        return None;
    };
    let applied: u32 = version.parse().ok()?;
    let open = match *dirty {
        "0" => Vec::new(),
        "1" => vec![(*version).to_owned()],
        _ => return None,
    };
    Some(SchemaState {
        applied,
        last: Some((*version).to_owned()),
        open,
    })
}

fn parse_background(text: &str) -> Vec<FailedMigration> {
    rows(text)
        .map(|row| FailedMigration {
            name: row[0].to_owned(),
            reason: row.get(1).unwrap_or(&"").trim().to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema(kind: SchemaKind, count: u32, last: &str) -> Schema {
        Schema {
            kind,
            service: "db".to_owned(),
            query: Vec::new(),
            count,
            last: last.to_owned(),
        }
    }

    #[test]
    fn prisma_rows() {
        let text = "applied\t424\nlast\t20260721120000_add_boolean_score_widget_views\n";
        let state = parse_prisma(text).unwrap();
        let brings = |count, last| schema(SchemaKind::Prisma, count, last);
        let last = "20260721120000_add_boolean_score_widget_views";
        for (schema, verdict) in [
            (brings(424, last), SchemaVerdict::Current),
            (brings(425, last), SchemaVerdict::Behind),
            (brings(423, last), SchemaVerdict::Differs),
            (
                brings(432, "20260813120000_add_posthog"),
                SchemaVerdict::Behind,
            ),
            (brings(400, "20260101000000_first"), SchemaVerdict::Ahead),
        ] {
            assert_eq!(state.verdict(&schema), verdict, "{schema:?}");
        }
    }

    #[test]
    fn an_open_prisma_row_outweighs_a_fitting_count() {
        let text = "applied\t1\nlast\ta\nopen\t2024 with space\nopen\tb\n";
        let state = parse_prisma(text).unwrap();
        assert_eq!(state.open, ["2024 with space", "b"]);
        let schema = schema(SchemaKind::Prisma, 1, "a");
        assert_eq!(state.verdict(&schema), SchemaVerdict::Open);
    }

    #[test]
    fn an_empty_prisma_table_is_behind() {
        let state = parse_prisma("applied\t0\nlast\t\n").unwrap();
        assert_eq!(state, SchemaState::default());
        let schema = schema(SchemaKind::Prisma, 1, "a");
        assert_eq!(state.verdict(&schema), SchemaVerdict::Behind);
    }

    #[test]
    fn golang_migrate_rows() {
        let schema = schema(SchemaKind::GolangMigrate, 37, "37");
        for (text, verdict) in [
            ("37\t0\n", SchemaVerdict::Current),
            ("37\t1\n", SchemaVerdict::Open),
            ("9\t0\n", SchemaVerdict::Behind),
            ("46\t0\n", SchemaVerdict::Ahead),
            ("", SchemaVerdict::Behind),
        ] {
            let state = parse_golang_migrate(text).unwrap();
            assert_eq!(state.verdict(&schema), verdict, "{text}");
        }
    }

    #[test]
    fn background_rows() {
        let failed = parse_background("a\tClickHouse events_full table does not exist\nb\t\n");
        assert_eq!(failed.len(), 2);
        assert_eq!(
            failed[0].reason,
            "ClickHouse events_full table does not exist"
        );
        assert!(parse_background("\n").is_empty());
    }

    proptest! {
        #[test]
        fn an_error_text_is_never_taken_for_a_state(text in "[a-zA-Z:.\t ]{1,60}") {
            prop_assume!(!text.trim().is_empty());
            prop_assert_eq!(parse_prisma(&text), None);
            prop_assert_eq!(parse_golang_migrate(&text), None);
        }
    }
}
