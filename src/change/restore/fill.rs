//! Writing the data of a snapshot into the stores.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use zeroize::Zeroizing;

use super::actions::{Restore, Source, names_below};
use crate::change::backup::{DUMP, MEMORY, SECRETS, SITE, place, types_of};
use crate::change::error::ChangeError;
use crate::change::stores::blobs::{OBJECTS, Prefixes, Reading, Writing};
use crate::change::stores::clickhouse::{ClickHouse, Holding, Table};
use crate::change::stores::http::Connection;
use crate::change::stores::{command, failed, key_of_path, reader};
use crate::engine::{ContainerEngine, LoadBody, SaveBody};
use crate::repository::{Kind, RepositoryError};
use crate::stack::Store;
use crate::stack::file::parse_owner;
use crate::sys::stream::{StreamWriter, pipe};

const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;
/// What Redis calls the parts of its append-only file unless it is told otherwise.
const APPENDED: &str = "appendonlydir";
const BASE: &str = "appendonly.aof.1.base.rdb";
const APPENDED_MANIFEST: &str = "appendonly.aof.manifest";

/// Runs `work` on a thread that may wait, writing into the stream that is
/// returned; the error of `work` ends that stream.
fn produce(
    work: impl FnOnce(&mut StreamWriter) -> Result<(), RepositoryError> + Send + 'static,
) -> LoadBody {
    let (mut writer, stream) = pipe();
    tokio::task::spawn_blocking(move || match work(&mut writer) {
        Ok(()) => writer.finish(),
        Err(error) => {
            writer.fail(io::Error::other(error));
            Ok(())
        }
    });
    stream.boxed()
}

async fn drain(mut body: SaveBody) -> Result<(), ChangeError> {
    while let Some(piece) = body.next().await {
        piece?;
    }
    Ok(())
}

impl Source {
    /// The bytes of one file.
    fn stream(&self, path: PathBuf) -> LoadBody {
        let source = self.clone();
        produce(move |writer| {
            let mut file = source.open(&path)?;
            while let Some(blob) = file.next_blob()? {
                writer
                    .write_all(&blob)
                    .map_err(|error| RepositoryError::from_stream(&path, error))?;
            }
            Ok(())
        })
    }

    fn open(&self, path: &Path) -> Result<crate::repository::FileReader, RepositoryError> {
        let entry = self.reader.find(&self.snapshot, path)?;
        let entry = entry.ok_or_else(|| RepositoryError::NoFile {
            snapshot: self.snapshot.id.to_string(),
            path: path.to_owned(),
        })?;
        self.reader.open(&entry)
    }

    /// The `site.toml` of the snapshot.
    ///
    /// # Errors
    ///
    /// It is missing or cannot be read.
    pub fn site_text(&self) -> Result<String, RepositoryError> {
        self.text(SITE)
    }

    /// The `secrets.toml` of the snapshot.
    ///
    /// # Errors
    ///
    /// It is missing or cannot be read.
    pub fn secrets_text(&self) -> Result<Zeroizing<String>, RepositoryError> {
        self.text(SECRETS).map(Zeroizing::new)
    }

    /// A small file as text.
    fn text(&self, path: &str) -> Result<String, RepositoryError> {
        let mut text = String::new();
        self.open(Path::new(path))?
            .read_to_string(&mut text)
            .map_err(|error| RepositoryError::from_stream(Path::new(path), error))?;
        Ok(text)
    }
}

/// Appends a file to a tar.
fn append(
    tar: &mut tar::Builder<&mut StreamWriter>,
    name: &Path,
    size: u64,
    owner: (u64, u64),
    mut content: impl Read,
) -> Result<(), RepositoryError> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(FILE_MODE);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    tar.append_data(&mut header, name, &mut content)
        .map_err(|error| RepositoryError::from_stream(name, error))
}

fn append_directory(
    tar: &mut tar::Builder<&mut StreamWriter>,
    name: &Path,
    owner: (u64, u64),
) -> Result<(), RepositoryError> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(DIRECTORY_MODE);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    tar.append_data(&mut header, name, io::empty())
        .map_err(|error| RepositoryError::from_stream(name, error))
}

impl<E: ContainerEngine> Restore<'_, E> {
    /// Lays the memory of Redis down where the server looks when it starts.
    pub(super) async fn fill_redis(
        &self,
        store: &Store,
        container: &str,
        directory: &str,
    ) -> Result<String, ChangeError> {
        let (engine, target) = (self.bring_up.engine, &self.bring_up.target);
        let service = target.service(store.service())?;
        let rendered = target.render(service, &self.bring_up.secrets)?;
        // A server without capabilities cannot take files over.
        let owner = service.user.as_deref().and_then(parse_owner);
        let owner = owner.unwrap_or_default();
        // It is not started: the next step makes it again.
        engine.remove(container).await?;
        engine.create(&rendered.spec).await?;
        let source = self.source.clone();
        let tar = produce(move |writer| {
            let mut file = source.open(Path::new(MEMORY))?;
            let entry = source.reader.find(&source.snapshot, Path::new(MEMORY))?;
            let size = entry.map_or(Ok(0), |entry| source.reader.size(&entry))?;
            let mut tar = tar::Builder::new(writer);
            let below = Path::new(APPENDED);
            append_directory(&mut tar, below, owner)?;
            append(&mut tar, &below.join(BASE), size, owner, &mut file)?;
            let manifest = format!("file {BASE} seq 1 type b\n");
            let length = manifest.len() as u64;
            let name = below.join(APPENDED_MANIFEST);
            append(&mut tar, &name, length, owner, manifest.as_bytes())?;
            tar.finish()
                .map_err(|error| RepositoryError::from_stream(below, error))
        });
        engine.unpack(container, directory, tar).await?;
        Ok(format!("{} keys", self.source.manifest.stores.keys))
    }

    pub(super) async fn fill_postgres(
        &self,
        container: &str,
        restore: &[String],
    ) -> Result<String, ChangeError> {
        let dump = self.source.stream(PathBuf::from(DUMP));
        let said = self.bring_up.engine.run(container, restore, Some(dump));
        drain(said.await?).await?;
        let rows: u64 = self.source.manifest.stores.postgres.values().sum();
        Ok(format!("{rows} rows"))
    }

    pub(super) async fn fill_clickhouse(
        &self,
        store: &Store,
        container: &str,
        owner: &str,
    ) -> Result<String, ChangeError> {
        let engine = self.bring_up.engine;
        let server = clickhouse(store, container)?;
        let owner = parse_owner(owner).ok_or_else(|| failed("clickhouse", "no owner of files"))?;
        let tables = &self.source.manifest.stores.tables;
        self.define(server, tables).await?;
        // Merges would make fewer rows of those that replace each other.
        server.query(engine, "SYSTEM STOP MERGES").await?;
        for table in tables {
            match table.holding() {
                Holding::Parts => self.attach(server, table, owner).await?,
                Holding::Rows => {
                    let insert = format!("INSERT INTO {} FORMAT Native", table.quoted());
                    let insert = command(server.client, &["--query", &insert]);
                    let rows = self.source.stream(table.directory().join("rows.native"));
                    drain(engine.run(container, &insert, Some(rows)).await?).await?;
                }
                Holding::Nothing => {}
            }
        }
        let rows: u64 = self.source.manifest.stores.clickhouse.values().sum();
        Ok(format!("{rows} rows in {} tables", tables.len()))
    }

    /// Makes all tables. A view that asks for another one waits for it.
    async fn define(&self, server: ClickHouse<'_>, tables: &[Table]) -> Result<(), ChangeError> {
        let engine = self.bring_up.engine;
        let (mut waiting, first): (Vec<_>, Vec<_>) = tables
            .iter()
            .partition(|table| table.holding() == Holding::Nothing);
        waiting.splice(0..0, first);
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            let mut last = None;
            for table in waiting {
                let sql = table.directory().join("table.sql");
                let sql = self.source.text(&sql.to_string_lossy())?;
                let database = table.quoted_database();
                let made = format!("CREATE DATABASE IF NOT EXISTS {database}");
                server.query(engine, &made).await?;
                if let Err(error) = server.query(engine, sql.trim()).await {
                    last = Some(error);
                    left.push(table);
                }
            }
            if left.len() == before {
                return Err(last.unwrap_or_else(|| failed("clickhouse", "no table was made")));
            }
            waiting = left;
        }
        Ok(())
    }

    /// Puts the parts of a table beside it, and lets the server take them.
    async fn attach(
        &self,
        server: ClickHouse<'_>,
        table: &Table,
        owner: (u64, u64),
    ) -> Result<(), ChangeError> {
        let engine = self.bring_up.engine;
        let below = table.directory().join("parts");
        let source = self.source.clone();
        let directory = below.clone();
        let listed = tokio::task::spawn_blocking(move || {
            names_below(&source.reader, &source.snapshot, &directory)
        });
        let parts = listed.await.map_err(io::Error::other)??;
        if parts.is_empty() {
            return Ok(());
        }
        let source = self.source.clone();
        let tar = produce(move |writer| tar_of_parts(&source, &below, owner, writer));
        let path = server.data_path(engine, table).await?;
        let path = format!("{}/detached", path.trim_end_matches('/'));
        engine.unpack(server.container, &path, tar).await?;
        let mut script = String::new();
        for part in parts {
            let part = part.file_name().unwrap_or_default().to_string_lossy();
            let part = part.replace('\'', r"\'");
            let table = table.quoted();
            let _ = writeln!(script, "ALTER TABLE {table} ATTACH PART '{part}';");
        }
        let many = command(server.client, &["--multiquery"]);
        let script: LoadBody = stream::iter([Ok(Bytes::from(script))]).boxed();
        drain(engine.run(server.container, &many, Some(script)).await?).await
    }

    pub(super) async fn clickhouse_rows(
        &self,
        store: &Store,
        container: &str,
    ) -> Result<BTreeMap<String, u64>, ChangeError> {
        let engine = self.bring_up.engine;
        let server = clickhouse(store, container)?;
        let tables = &self.source.manifest.stores.tables;
        let rows = server.counts(engine, tables).await?;
        server.query(engine, "SYSTEM START MERGES").await?;
        Ok(rows)
    }

    pub(super) async fn fill_blobs(
        &self,
        store: &Store,
        container: &str,
        connect: &[String],
    ) -> Result<String, ChangeError> {
        let place = place(store, &self.bring_up.secrets)?;
        let (requests, input) = pipe();
        let answers = self
            .bring_up
            .engine
            .run(container, connect, Some(input.boxed()));
        let answers = reader(answers.await?);
        let source = self.source.clone();
        let written = tokio::task::spawn_blocking(move || {
            let types = types_of(&source.reader, &source.snapshot)?;
            let connection = Connection::new(requests, answers);
            let mut writing = Writing::new(connection, place, types);
            for entry in source
                .reader
                .files_below(&source.snapshot, Path::new(OBJECTS))?
            {
                let entry = entry?;
                if entry.kind != Kind::File {
                    continue;
                }
                let inner = entry.path.strip_prefix(OBJECTS).ok();
                let key = inner.and_then(key_of_path);
                let key = key.ok_or_else(|| RepositoryError::BadPath(entry.path.clone()))?;
                let mut content = source.reader.open(&entry)?;
                writing.put(&key, entry.size, &mut content)?;
            }
            writing.finish()
        });
        let objects = written.await.map_err(io::Error::other)??;
        Ok(format!("{objects} objects"))
    }

    pub(super) async fn count_blobs(
        &self,
        store: &Store,
        container: &str,
        connect: &[String],
    ) -> Result<Prefixes, ChangeError> {
        let place = place(store, &self.bring_up.secrets)?;
        let (requests, input) = pipe();
        let answers = self
            .bring_up
            .engine
            .run(container, connect, Some(input.boxed()));
        let answers = reader(answers.await?);
        let counted = tokio::task::spawn_blocking(move || {
            Reading::new(Connection::new(requests, answers), place).count()
        });
        Ok(counted.await.map_err(io::Error::other)??)
    }
}

fn clickhouse<'s>(store: &'s Store, container: &'s str) -> Result<ClickHouse<'s>, ChangeError> {
    match store {
        Store::Clickhouse {
            client, directory, ..
        } => Ok(ClickHouse {
            container,
            client,
            directory,
        }),
        _ => Err(failed(store.name(), "it is not a ClickHouse")),
    }
}

/// The files below a directory of the snapshot as a tar.
fn tar_of_parts(
    source: &Source,
    below: &Path,
    owner: (u64, u64),
    writer: &mut StreamWriter,
) -> Result<(), RepositoryError> {
    let mut tar = tar::Builder::new(writer);
    for entry in source.reader.files_below(&source.snapshot, below)? {
        let entry = entry?;
        let Ok(name) = entry.path.strip_prefix(below) else {
            return Err(RepositoryError::BadPath(entry.path));
        };
        match entry.kind {
            Kind::Directory => append_directory(&mut tar, name, owner)?,
            Kind::File => {
                let content = source.reader.open(&entry)?;
                append(&mut tar, name, entry.size, owner, content)?;
            }
            Kind::Symlink(_) => {}
        }
    }
    tar.finish()
        .map_err(|error| RepositoryError::from_stream(below, error))
}
