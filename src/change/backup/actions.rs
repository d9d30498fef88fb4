//! What each step of a backup does, and how it is taken back.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::copy::{HEAD, SECRETS, SITE, clickhouse, redis};
use super::manifest::Manifest;
use super::sink::Sink;
use super::step::Step;
use super::work::Backup;
use crate::appliance::backup::{LastBackup, Records};
use crate::change::error::ChangeError;
use crate::change::runner::{Actions, Done};
use crate::change::stop;
use crate::change::stores::failed;
use crate::change::stores::postgres::Postgres;
use crate::engine::ContainerEngine;
use crate::langfuse::schema::schema_state;
use crate::repository::{Description, Repository, RepositoryError};
use crate::stack::Store;

impl<E: ContainerEngine> Backup<'_, E> {
    async fn begin(&mut self) -> Result<Done, ChangeError> {
        let repository = self.repository.clone().ok_or(RepositoryError::Stopped)?;
        self.begun = Timestamp::now();
        self.sink = Some(Sink::begin(repository).await?);
        Ok(Done::now())
    }

    async fn pause_worker(&self) -> Result<Done, ChangeError> {
        let worker = &self.state.stack.langfuse.worker;
        let container = self.engine.container(&self.container(worker)).await?;
        let service = self.state.stack.service(worker);
        if let Some((container, service)) = container.zip(service) {
            stop::stop(self.engine, &container, &service.stop).await?;
        }
        Ok(Done::now())
    }

    async fn resume_worker(&self) -> Result<Done, ChangeError> {
        let worker = self.container(&self.state.stack.langfuse.worker);
        self.engine.start(&worker).await?;
        Ok(Done::now())
    }

    async fn save_queue(&self) -> Result<Done, ChangeError> {
        for store in &self.state.stack.stores {
            let container = self.container(store.service());
            if let Some(redis) = redis(store, &container) {
                redis.save(self.engine).await?;
            }
        }
        Ok(Done::now())
    }

    async fn freeze(&mut self) -> Result<Done, ChangeError> {
        let mut tables = Vec::new();
        for store in &self.state.stack.stores {
            let container = self.container(store.service());
            if let Some(server) = clickhouse(store, &container) {
                tables = server.tables(self.engine).await?;
                server.freeze(self.engine, &tables).await?;
            }
        }
        self.found.tables = tables;
        Ok(Done::with(format!("{} tables", self.found.tables.len())))
    }

    /// Removes what is kept in the stores for the copy.
    async fn clear_up(&self) -> Result<Done, ChangeError> {
        self.forget_queue().await?;
        self.unfreeze().await?;
        Ok(Done::now())
    }

    async fn forget_queue(&self) -> Result<(), ChangeError> {
        for store in &self.state.stack.stores {
            let container = self.container(store.service());
            if let Some(redis) = redis(store, &container) {
                redis.forget(self.engine).await?;
            }
        }
        Ok(())
    }

    async fn unfreeze(&self) -> Result<(), ChangeError> {
        for store in &self.state.stack.stores {
            let container = self.container(store.service());
            if let Some(server) = clickhouse(store, &container) {
                server.unfreeze(self.engine).await?;
            }
        }
        Ok(())
    }

    async fn copy(&mut self, name: &str) -> Result<Done, ChangeError> {
        let stores = self.state.stack.stores.clone();
        let store = stores.iter().find(|store| store.name() == name);
        let store = store.ok_or_else(|| failed(name, "the release does not have it"))?;
        let container = self.container(store.service());
        let detail = match store {
            Store::Redis { .. } => self.copy_redis(store, &container).await?,
            Store::Clickhouse { .. } => self.copy_clickhouse(store, &container).await?,
            Store::Postgres { client, dump, .. } => {
                let server = Postgres {
                    container: &container,
                    client,
                    dump,
                };
                self.copy_postgres(server).await?
            }
            Store::Blobs { .. } => self.copy_blobs(store, &container).await?,
        };
        Ok(Done::with(detail))
    }

    async fn copy_settings(&self) -> Result<Done, ChangeError> {
        let site = fs_err::read(self.appliance.site_path())?;
        self.write_small(SITE.into(), site).await?;
        let secrets = fs_err::read(self.appliance.secrets_path())?;
        self.write_small(SECRETS.into(), secrets).await?;
        if let Some(head) = self.appliance.head_of(&self.state.current)? {
            self.write_small(HEAD.into(), head).await?;
        }
        Ok(Done::now())
    }

    async fn commit(&mut self) -> Result<Done, ChangeError> {
        let mut schemas = BTreeMap::new();
        for schema in &self.state.stack.schemas {
            let container = self.container(&schema.service);
            let state = schema_state(self.engine, &container, schema).await;
            let state = state.map_err(|error| failed(&schema.service, error))?;
            schemas.insert(schema.service.clone(), state.last.unwrap_or_default());
        }
        let manifest = Manifest {
            appliance: self.appliance.name().to_owned(),
            generation: self.state.current.clone(),
            at: self.begun,
            schemas,
            fingerprints: self.state.fingerprints.clone(),
            stores: self.found.clone(),
        };
        let description = Description {
            host: String::new(),
            tags: vec!["lfctl".to_owned(), self.appliance.name().to_owned()],
            manifest: manifest.to_bytes()?,
        };
        let sink = self.sink.take().ok_or(RepositoryError::Stopped)?;
        let (snapshot, totals) = sink.commit(description).await?;
        let path = self.repository.as_ref().map(|one| one.path().to_owned());
        let mut records = Records::load(self.appliance)?;
        records.backed_up(LastBackup {
            at: self.begun,
            repository: path.unwrap_or_default(),
            snapshot: snapshot.id.as_str().to_owned(),
            release: self.state.current.release.clone(),
            key: self.repository.as_ref().and_then(Repository::key_id),
        });
        records.save(self.appliance)?;
        let detail = format!("snapshot {}, {} bytes new", snapshot.id, totals.stored);
        self.written = Some((snapshot, totals));
        Ok(Done::with(detail))
    }
}

impl<E: ContainerEngine> Actions for Backup<'_, E> {
    type Step = Step;

    async fn run(&mut self, step: &Step, _run: &str) -> Result<Done, ChangeError> {
        match step {
            Step::Begin => self.begin().await,
            Step::PauseWorker => self.pause_worker().await,
            Step::SaveQueue => self.save_queue().await,
            Step::Freeze => self.freeze().await,
            Step::ResumeWorker => self.resume_worker().await,
            Step::Copy(store) => self.copy(store).await,
            Step::CopySettings => self.copy_settings().await,
            Step::Commit => self.commit().await,
            Step::ClearUp => self.clear_up().await,
        }
    }

    async fn undo(&mut self, step: &Step) -> Result<(), ChangeError> {
        match step {
            // Without its writer there is no snapshot.
            Step::Begin => {
                self.sink = None;
                Ok(())
            }
            Step::PauseWorker => self.resume_worker().await.map(drop),
            Step::SaveQueue => self.forget_queue().await,
            Step::Freeze => self.unfreeze().await,
            Step::ResumeWorker
            | Step::Copy(_)
            | Step::CopySettings
            | Step::Commit
            | Step::ClearUp => Ok(()),
        }
    }
}
