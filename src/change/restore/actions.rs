//! What each step of a restore does.

use std::path::PathBuf;
use std::time::Duration;

use super::step::Step;
use crate::change::backup::{Contents, Manifest};
use crate::change::bring_up::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::{Actions, Done};
use crate::change::stop;
use crate::change::stores::failed;
use crate::engine::{ContainerEngine, LABEL_PART};
use crate::repository::{Snapshot, SnapshotReader};
use crate::stack::Store;

/// Seconds a container gets of which nothing is recorded.
const DEFAULT_STOP: u64 = 120;

/// A restore: all that its steps work with.
pub struct Restore<'a, E> {
    /// What the appliance is to be.
    pub bring_up: BringUp<'a, E>,
    /// What is restored.
    pub source: Source,
}

/// A snapshot, and what it says of itself.
#[derive(Debug, Clone)]
pub struct Source {
    /// Reads the repository.
    pub reader: SnapshotReader,
    pub snapshot: Snapshot,
    /// What it holds.
    pub manifest: Manifest,
}

impl<E> std::fmt::Debug for Restore<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore")
            .field("bring_up", &self.bring_up)
            .finish_non_exhaustive()
    }
}

impl<E: ContainerEngine> Actions for Restore<'_, E> {
    type Step = Step;

    async fn run(&mut self, step: &Step, run: &str) -> Result<Done, ChangeError> {
        match step {
            Step::RemoveContainer(name) => self.remove_container(name).await,
            Step::RemoveVolume(name) => {
                self.bring_up.engine.remove_volume(name).await?;
                Ok(Done::now())
            }
            Step::Fill(store) => self.fill(store).await,
            Step::Compare => self.compare().await,
            Step::BringUp(step) => self.bring_up.run(step, run).await,
        }
    }

    /// A restore is resumed and never undone.
    async fn undo(&mut self, step: &Step) -> Result<(), ChangeError> {
        use crate::change::plan::Step as _;
        Err(ChangeError::UnknownStep { step: step.id() })
    }
}

impl<E: ContainerEngine> Restore<'_, E> {
    async fn remove_container(&self, name: &str) -> Result<Done, ChangeError> {
        let engine = self.bring_up.engine;
        let Some(container) = engine.container(name).await? else {
            return Ok(Done::already());
        };
        let part = container.labels.get(LABEL_PART);
        let service = part.and_then(|part| self.bring_up.target.stack.service(part));
        match service {
            Some(service) => stop::stop(engine, &container, &service.stop).await?,
            None => engine.stop(name, Duration::from_secs(DEFAULT_STOP)).await?,
        }
        engine.remove(name).await?;
        Ok(Done::now())
    }

    fn store(&self, name: &str) -> Result<Store, ChangeError> {
        let stores = &self.bring_up.target.stack.stores;
        let store = stores.iter().find(|store| store.name() == name);
        store
            .cloned()
            .ok_or_else(|| failed(name, "the release does not have it"))
    }

    async fn fill(&self, name: &str) -> Result<Done, ChangeError> {
        let store = self.store(name)?;
        let container = self.bring_up.names().container(store.service());
        let detail = match &store {
            Store::Redis { directory, .. } => {
                self.fill_redis(&store, &container, directory).await?
            }
            Store::Clickhouse { owner, .. } => {
                self.fill_clickhouse(&store, &container, owner).await?
            }
            Store::Postgres { restore, .. } => self.fill_postgres(&container, restore).await?,
            Store::Blobs { connect, .. } => self.fill_blobs(&store, &container, connect).await?,
        };
        Ok(Done::with(detail))
    }

    /// Compares what the stores hold with what the snapshot says.
    async fn compare(&self) -> Result<Done, ChangeError> {
        let wanted = &self.source.manifest.stores;
        let found = self.contents().await?;
        let differs = |what: &str, why: String| ChangeError::Store {
            store: what.to_owned(),
            why: format!("what was restored is not what was backed up: {why}"),
        };
        for (what, wanted, found) in [
            ("postgres", &wanted.postgres, &found.postgres),
            ("clickhouse", &wanted.clickhouse, &found.clickhouse),
        ] {
            for (table, rows) in wanted {
                let there = found.get(table).copied().unwrap_or_default();
                if there != *rows {
                    return Err(differs(what, format!("{table} has {there} rows of {rows}")));
                }
            }
        }
        for (prefix, wanted) in &wanted.blobs {
            let there = found.blobs.get(prefix).copied().unwrap_or_default();
            if there != *wanted {
                let why = format!(
                    "`{prefix}/` has {} objects of {}, {} bytes of {}",
                    there.objects, wanted.objects, there.bytes, wanted.bytes
                );
                return Err(differs("blobs", why));
            }
        }
        let (rows, objects) = (wanted.rows(), wanted.objects());
        Ok(Done::with(format!("{rows} rows, {objects} objects")))
    }

    async fn contents(&self) -> Result<Contents, ChangeError> {
        let mut contents = Contents::default();
        for store in self.bring_up.target.stack.stores.clone() {
            let container = self.bring_up.names().container(store.service());
            match &store {
                Store::Redis { .. } => {}
                Store::Clickhouse { .. } => {
                    contents.clickhouse = self.clickhouse_rows(&store, &container).await?;
                }
                Store::Postgres { client, dump, .. } => {
                    let server = crate::change::stores::postgres::Postgres {
                        container: &container,
                        client,
                        dump,
                    };
                    contents.postgres = server.rows(self.bring_up.engine).await?;
                }
                Store::Blobs { connect, .. } => {
                    contents.blobs = self.count_blobs(&store, &container, connect).await?;
                }
            }
        }
        Ok(contents)
    }
}

/// The names directly below a directory of a snapshot.
pub(super) fn names_below(
    reader: &SnapshotReader,
    snapshot: &Snapshot,
    directory: &std::path::Path,
) -> Result<Vec<PathBuf>, crate::repository::RepositoryError> {
    let depth = directory.iter().count() + 1;
    let mut names = Vec::new();
    for entry in reader.files_below(snapshot, directory)? {
        let entry = entry?;
        if entry.path.iter().count() == depth {
            names.push(entry.path);
        }
    }
    Ok(names)
}
