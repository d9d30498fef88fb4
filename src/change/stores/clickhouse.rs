//! ClickHouse: hard links to the parts of each table, made by `FREEZE`, which
//! every version has, and the definitions of all tables.
//!
//! Parts are named by what they hold and never change, so that the links cost
//! no room and the server merges on meanwhile. What is not a `MergeTree` is
//! small and read as rows.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ask, command, failed, file_name, shell};
use crate::change::error::ChangeError;
use crate::engine::{ContainerEngine, SaveBody};
use crate::repository::{Meta, RepositoryError, SnapshotWriter};

/// What the directories of a freeze begin with.
const PREFIX: &str = "lfctl_";
/// Names in the tar of a frozen table above those of its parts: of the freeze,
/// `data/<database>/<table>`, or `store/<abc>/<uuid>`.
const ABOVE: usize = 4;

/// A `ClickHouse` in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::change) struct ClickHouse<'a> {
    pub(in crate::change) container: &'a str,
    pub(in crate::change) client: &'a [String],
    pub(in crate::change) directory: &'a str,
}

/// A table, or what can be selected from like one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::change) struct Table {
    pub(in crate::change) database: String,
    pub(in crate::change) name: String,
    pub(in crate::change) engine: String,
}

/// How the data of a table is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::change) enum Holding {
    Parts,
    /// Otherwise, and little.
    Rows,
    /// Nowhere: it is a view of others.
    Nothing,
}

impl Table {
    pub(in crate::change) fn holding(&self) -> Holding {
        if self.engine.ends_with("MergeTree") {
            Holding::Parts
        } else if self.engine.ends_with("Log") {
            Holding::Rows
        } else {
            Holding::Nothing
        }
    }

    /// Name in a manifest.
    pub(in crate::change) fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Name in a statement.
    pub(in crate::change) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.name))
    }

    /// Its database in a statement.
    pub(in crate::change) fn quoted_database(&self) -> String {
        quoted(&self.database)
    }

    /// Directory in a snapshot.
    pub(in crate::change) fn directory(&self) -> PathBuf {
        Path::new("clickhouse")
            .join(file_name(&self.database))
            .join(file_name(&self.name))
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', r"\\").replace('`', r"\`"))
}

impl ClickHouse<'_> {
    pub(in crate::change) async fn query<E: ContainerEngine>(
        self,
        engine: &E,
        statement: &str,
    ) -> Result<String, ChangeError> {
        let query = command(self.client, &["--query", statement]);
        ask(engine, self.container, &query).await
    }

    /// All tables but the server's own.
    pub(in crate::change) async fn tables<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<Vec<Table>, ChangeError> {
        let listed = self
            .query(
                engine,
                "SELECT database, name, engine FROM system.tables WHERE database NOT IN \
                 ('system', 'information_schema', 'INFORMATION_SCHEMA') ORDER BY database, name",
            )
            .await?;
        let table = |line: &str| {
            let mut columns = line.split('\t').map(str::to_owned);
            Some(Table {
                database: columns.next()?,
                name: columns.next()?,
                engine: columns.next()?,
            })
        };
        let tables: Option<_> = listed.lines().map(table).collect();
        tables.ok_or_else(|| failed("clickhouse", "it did not list its tables"))
    }

    /// The statement that makes a table.
    pub(in crate::change) async fn definition<E: ContainerEngine>(
        self,
        engine: &E,
        table: &Table,
    ) -> Result<String, ChangeError> {
        let show = format!("SHOW CREATE TABLE {} FORMAT TSVRaw", table.quoted());
        self.query(engine, &show).await
    }

    /// Links all parts of all tables, one after the other.
    pub(in crate::change) async fn freeze<E: ContainerEngine>(
        self,
        engine: &E,
        tables: &[Table],
    ) -> Result<(), ChangeError> {
        self.unfreeze(engine).await?;
        for (index, table) in tables.iter().enumerate() {
            if table.holding() == Holding::Parts {
                let name = table.quoted();
                let freeze = format!("ALTER TABLE {name} FREEZE WITH NAME '{PREFIX}{index}'");
                self.query(engine, &freeze).await?;
            }
        }
        Ok(())
    }

    /// Removes what [`ClickHouse::freeze`] made, and what one that broke off
    /// left. Nothing to remove is no error.
    pub(in crate::change) async fn unfreeze<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<(), ChangeError> {
        let remove = shell(&format!("rm -rf {}/shadow/{PREFIX}*", self.directory));
        ask(engine, self.container, &remove).await.map(drop)
    }

    /// The names of the frozen directories that hold anything.
    pub(in crate::change) async fn frozen<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<String, ChangeError> {
        let list = shell(&format!("ls {}/shadow 2>/dev/null || true", self.directory));
        ask(engine, self.container, &list).await
    }

    /// The frozen parts of the table with this number as a tar; `None` if it
    /// had none. `frozen` is what [`ClickHouse::frozen`] listed.
    pub(in crate::change) async fn parts<E: ContainerEngine>(
        self,
        engine: &E,
        index: usize,
        frozen: &str,
    ) -> Result<Option<SaveBody>, ChangeError> {
        let name = format!("{PREFIX}{index}");
        if !frozen.lines().any(|line| line.trim() == name) {
            return Ok(None);
        }
        let path = format!("{}/shadow/{name}", self.directory);
        Ok(Some(engine.download(self.container, &path).await?))
    }

    /// The rows of a table in `ClickHouse`'s own format.
    pub(in crate::change) async fn rows<E: ContainerEngine>(
        self,
        engine: &E,
        table: &Table,
    ) -> Result<SaveBody, ChangeError> {
        let select = format!("SELECT * FROM {} FORMAT Native", table.quoted());
        let select = command(self.client, &["--query", &select]);
        Ok(engine.run(self.container, &select, None).await?)
    }

    /// Where the server keeps the parts of a table.
    pub(in crate::change) async fn data_path<E: ContainerEngine>(
        self,
        engine: &E,
        table: &Table,
    ) -> Result<String, ChangeError> {
        let column = self
            .query(
                engine,
                "SELECT name FROM system.columns WHERE database = 'system' AND table = 'tables' \
                 AND name IN ('data_path', 'data_paths')",
            )
            .await?;
        // Newer servers may keep a table on several disks.
        let path = match column.trim() {
            "data_paths" => "data_paths[1]",
            _ => "data_path",
        };
        let escaped = |name: &str| name.replace('\\', r"\\").replace('\'', r"\'");
        let select = format!(
            "SELECT {path} FROM system.tables WHERE database = '{}' AND name = '{}'",
            escaped(&table.database),
            escaped(&table.name)
        );
        let path = self.query(engine, &select).await?;
        let path = path.trim();
        if path.starts_with('/') {
            return Ok(path.to_owned());
        }
        let name = table.full_name();
        Err(failed("clickhouse", format!("it keeps {name} in `{path}`")))
    }

    /// How many rows each table has.
    pub(in crate::change) async fn counts<E: ContainerEngine>(
        self,
        engine: &E,
        tables: &[Table],
    ) -> Result<BTreeMap<String, u64>, ChangeError> {
        let mut counts = BTreeMap::new();
        for table in tables {
            if table.holding() != Holding::Nothing {
                counts.insert(table.full_name(), self.count(engine, table).await?);
            }
        }
        Ok(counts)
    }

    /// How many rows a table has.
    pub(in crate::change) async fn count<E: ContainerEngine>(
        self,
        engine: &E,
        table: &Table,
    ) -> Result<u64, ChangeError> {
        let count = format!("SELECT count() FROM {}", table.quoted());
        let count = self.query(engine, &count).await?;
        let count = count.trim();
        count
            .parse()
            .map_err(|_| failed("clickhouse", format!("it counted `{count}` rows")))
    }
}

/// Writes the parts of a frozen table below `directory`; returns their rows.
pub(in crate::change) fn write_parts(
    writer: &mut SnapshotWriter<'_>,
    directory: &Path,
    source: impl Read,
) -> Result<u64, RepositoryError> {
    let failed = |source: io::Error| RepositoryError::Source {
        path: directory.to_owned(),
        source,
    };
    let mut rows = 0;
    let mut archive = tar::Archive::new(source);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(failed)?.into_owned();
        let inner: PathBuf = name.iter().skip(ABOVE).collect();
        let header = entry.header();
        let seconds = header.mtime().ok().and_then(|at| i64::try_from(at).ok());
        let meta = Meta {
            mode: header.mode().unwrap_or(0o640),
            modified: seconds.and_then(|at| jiff::Timestamp::from_second(at).ok()),
            ..Meta::default()
        };
        let to = directory.join(&inner);
        if inner.iter().count() == 2 && inner.ends_with("count.txt") {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(failed)?;
            let count: u64 = text.trim().parse().map_err(|_| {
                failed(io::Error::other(format!("`{text}` is not a count of rows")))
            })?;
            rows += count;
            writer.write_file(&to, meta, &mut text.as_bytes())?;
        } else {
            writer.write_file(&to, meta, &mut entry)?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_themselves() {
        let table = Table {
            database: "default".to_owned(),
            name: ".inner.`x`/y".to_owned(),
            engine: "ReplacingMergeTree".to_owned(),
        };
        assert_eq!(table.holding(), Holding::Parts);
        assert_eq!(table.quoted(), r"`default`.`.inner.\`x\`/y`");
        assert_eq!(
            table.directory(),
            Path::new("clickhouse/default/.inner.`x`%2Fy")
        );
    }
}
