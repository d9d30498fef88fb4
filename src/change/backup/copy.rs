//! Copying each store into the snapshot.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;

use super::work::Backup;
use crate::appliance::Appliance;
use crate::change::error::ChangeError;
use crate::change::stores::blobs::{Place, Reading, Types};
use crate::change::stores::clickhouse::{self, ClickHouse, Holding};
use crate::change::stores::http::Connection;
use crate::change::stores::postgres::{self, Postgres};
use crate::change::stores::redis::Redis;
use crate::change::stores::{ask, failed, reader, shell};
use crate::engine::ContainerEngine;
use crate::render::Names;
use crate::repository::{Meta, Repository, RepositoryError, Snapshot, SnapshotReader};
use crate::stack::Store;
use crate::stack::secret::SecretStore;
use crate::sys::stream::pipe;

/// Where the types of objects are in a snapshot.
pub(in crate::change) const TYPES: &str = "blob-types.json";
/// Where the dump of Postgres is.
pub(in crate::change) const DUMP: &str = "postgres/database.dump";
/// Where the memory of Redis is.
pub(in crate::change) const MEMORY: &str = "redis/dump.rdb";
/// Where the settings are.
pub(in crate::change) const SITE: &str = "settings/site.toml";
/// See [`SITE`].
pub(in crate::change) const SECRETS: &str = "settings/secrets.toml";
/// See [`SITE`].
pub(in crate::change) const HEAD: &str = "settings/head.tar";

const BUFFER: usize = 256 * 1024;

impl<E: ContainerEngine> Backup<'_, E> {
    pub(super) async fn copy_redis(
        &mut self,
        store: &Store,
        container: &str,
    ) -> Result<String, ChangeError> {
        let Some(redis) = redis(store, container) else {
            return Ok(String::new());
        };
        self.found.keys = redis.keys(self.engine).await?;
        let mut source = reader(redis.read(self.engine).await?);
        let bytes = self
            .sink()?
            .with(move |writer| writer.write_file(Path::new(MEMORY), Meta::default(), &mut source))
            .await?;
        Ok(format!("{bytes} bytes"))
    }

    pub(super) async fn copy_clickhouse(
        &mut self,
        store: &Store,
        container: &str,
    ) -> Result<String, ChangeError> {
        let Some(server) = clickhouse(store, container) else {
            return Ok(String::new());
        };
        let tables = self.found.tables.clone();
        let frozen = server.frozen(self.engine).await?;
        let mut all = 0;
        for (index, table) in tables.iter().enumerate() {
            let directory = table.directory();
            let definition = server.definition(self.engine, table).await?;
            let sql = directory.join("table.sql");
            self.write_small(sql, definition.into_bytes()).await?;
            let rows = match table.holding() {
                Holding::Nothing => continue,
                Holding::Parts => match server.parts(self.engine, index, &frozen).await? {
                    None => 0,
                    Some(parts) => {
                        let source = reader(parts);
                        let below = directory.join("parts");
                        let work = move |writer: &mut _| {
                            let source = BufReader::with_capacity(BUFFER, source);
                            clickhouse::write_parts(writer, &below, source)
                        };
                        self.sink()?.with(work).await?
                    }
                },
                Holding::Rows => {
                    let count = server.count(self.engine, table).await?;
                    let mut source = reader(server.rows(self.engine, table).await?);
                    let file = directory.join("rows.native");
                    self.sink()?
                        .with(move |writer| writer.write_file(&file, Meta::default(), &mut source))
                        .await?;
                    count
                }
            };
            all += rows;
            self.found.clickhouse.insert(table.full_name(), rows);
        }
        Ok(format!("{all} rows"))
    }

    pub(super) async fn copy_postgres(
        &mut self,
        server: Postgres<'_>,
    ) -> Result<String, ChangeError> {
        let source = reader(server.read(self.engine).await?);
        let (rows, bytes) = self
            .sink()?
            .with(move |writer| {
                let mut source = BufReader::with_capacity(BUFFER, source);
                let rows =
                    postgres::counts(&mut source).map_err(|source| RepositoryError::Source {
                        path: PathBuf::from(DUMP),
                        source,
                    })?;
                let bytes = writer.write_file(Path::new(DUMP), Meta::default(), &mut source)?;
                Ok((rows, bytes))
            })
            .await?;
        self.found.postgres = rows;
        let rows: u64 = self.found.postgres.values().sum();
        Ok(format!("{rows} rows, {bytes} bytes"))
    }

    pub(super) async fn copy_blobs(
        &mut self,
        store: &Store,
        container: &str,
    ) -> Result<String, ChangeError> {
        let place = place(store, &self.secrets)?;
        let Store::Blobs { connect, .. } = store else {
            return Ok(String::new());
        };
        let (requests, input) = pipe();
        let answers = self.engine.run(container, connect, Some(input.boxed()));
        let answers = reader(answers.await?);
        let repository = self.repository.clone().ok_or(RepositoryError::Stopped)?;
        let work = move |writer: &mut _| {
            let known = known_types(&repository)?;
            let reading = Reading::new(Connection::new(requests, answers), place);
            let (prefixes, types) = reading.copy(writer, &known)?;
            let bytes = serde_json::to_vec(&types)
                .map_err(|error| RepositoryError::Format(error.to_string()))?;
            writer.write_file(Path::new(TYPES), Meta::default(), &mut bytes.as_slice())?;
            Ok(prefixes)
        };
        self.found.blobs = self.sink()?.with(work).await?;
        let (objects, bytes) = (self.found.objects(), self.found.object_bytes());
        Ok(format!("{objects} objects, {bytes} bytes"))
    }

    pub(super) async fn write_small(
        &self,
        path: PathBuf,
        bytes: Vec<u8>,
    ) -> Result<(), ChangeError> {
        self.sink()?
            .with(move |writer| writer.write_file(&path, Meta::default(), &mut bytes.as_slice()))
            .await?;
        Ok(())
    }
}

pub(super) fn redis<'s>(store: &'s Store, container: &'s str) -> Option<Redis<'s>> {
    match store {
        Store::Redis {
            client, directory, ..
        } => Some(Redis {
            container,
            client,
            directory,
        }),
        _ => None,
    }
}

pub(super) fn clickhouse<'s>(store: &'s Store, container: &'s str) -> Option<ClickHouse<'s>> {
    match store {
        Store::Clickhouse {
            client, directory, ..
        } => Some(ClickHouse {
            container,
            client,
            directory,
        }),
        _ => None,
    }
}

/// The bucket of a blob store, with the key to it.
pub(in crate::change) fn place(store: &Store, secrets: &SecretStore) -> Result<Place, ChangeError> {
    let Store::Blobs {
        bucket,
        region,
        port,
        access_key,
        secret_key,
        ..
    } = store
    else {
        return Err(failed(store.name(), "it is not a blob store"));
    };
    let secret = secrets.get(secret_key);
    let secret = secret.ok_or_else(|| failed("blobs", format!("no secret `{secret_key}`")))?;
    let place = Place::new(*port, bucket, region, access_key, secret.expose());
    place.ok_or_else(|| failed("blobs", "the release names no bucket that can be"))
}

/// The types of objects that the last snapshot wrote down.
fn known_types(repository: &Repository) -> Result<Types, RepositoryError> {
    let Some(snapshot) = repository.snapshots()?.pop() else {
        return Ok(Types::new());
    };
    types_of(&repository.reader()?, &snapshot)
}

/// The types of objects in a snapshot.
pub(in crate::change) fn types_of(
    reader: &SnapshotReader,
    snapshot: &Snapshot,
) -> Result<Types, RepositoryError> {
    let Some(entry) = reader.find(snapshot, Path::new(TYPES))? else {
        return Ok(Types::new());
    };
    serde_json::from_reader(BufReader::new(reader.open(&entry)?))
        .map_err(|error| RepositoryError::Format(error.to_string()))
}

/// Bytes that the stores take on disk, by kind; an upper bound for the bytes of
/// a backup.
///
/// # Errors
///
/// A container gives no answer.
pub async fn sizes<E: ContainerEngine>(
    engine: &E,
    appliance: &Appliance,
    stores: &[Store],
) -> Result<Vec<(String, u64)>, ChangeError> {
    let names = Names {
        appliance: appliance.name(),
    };
    let mut sizes = Vec::new();
    for store in stores {
        let script = format!("du -sk {} 2>/dev/null | cut -f 1", store.directory());
        let command = shell(&script);
        let container = names.container(store.service());
        let said = ask(engine, &container, &command).await?;
        let kibibytes: u64 = said.trim().parse().unwrap_or_default();
        sizes.push((store.name().to_owned(), kibibytes * 1024));
    }
    Ok(sizes)
}
