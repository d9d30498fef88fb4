//! Standing still: services that stop, and a rollback point of their volumes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BringUp;
use crate::change::blueprint::Blueprint;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::change::step::PointOf;
use crate::change::stop;
use crate::engine::ContainerEngine;
use crate::stack::Stage;
use crate::sys::point::Point;

/// How long web may go on with requests that came before the gateway closed.
/// SDKs send again what is cut then.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn stop_service(&self, name: &str) -> Result<Done, ChangeError> {
        let before = self.before_change();
        let service = before.service(name)?;
        let container = self.engine.container(&self.names().container(name)).await?;
        let Some(container) = container else {
            return Ok(Done::already());
        };
        if *name == before.stack.langfuse.web {
            self.drain(&container, LAST_REQUESTS).await?;
        }
        stop::stop(self.engine, &container, &service.stop).await?;
        Ok(Done::now())
    }

    /// Takes back what [`Self::stop_service`] did. What keeps data comes up
    /// before what works on it.
    pub(super) async fn start_stopped(&self, name: &str) -> Result<(), ChangeError> {
        let before = self.before_change();
        let service = before.service(name)?;
        if service.stage != Stage::Data {
            for store in before.stack.stage(Stage::Data) {
                self.await_service(store).await?;
            }
        }
        self.start_as(before, name).await?;
        Ok(())
    }

    /// Waits for what answers behind the gateway.
    pub(super) async fn await_app(&self, blueprint: &Blueprint) -> Result<(), ChangeError> {
        for service in blueprint.stack.stage(Stage::App) {
            self.await_service(service).await?;
        }
        Ok(())
    }

    pub(super) async fn make_point(&self, of: &PointOf) -> Result<Done, ChangeError> {
        let stack = &self.before_change().stack;
        let volume = stack.volumes.iter().find(|volume| volume.name == of.volume);
        let beside = volume.and_then(|volume| volume.immutable_beside.clone());
        let point = self.point(of).await?;
        let cost = blocking(move || point.make(beside.as_deref())).await?;
        Ok(Done::with(format!(
            "{} files linked, {} copied with {}",
            cost.linked,
            cost.copied,
            indicatif::HumanBytes(cost.bytes)
        )))
    }

    pub(super) async fn put_point_back(&self, of: &PointOf) -> Result<(), ChangeError> {
        let point = self.point(of).await?;
        blocking(move || point.put_back()).await
    }

    pub(super) async fn drop_point(&self, of: &PointOf) -> Result<Done, ChangeError> {
        let name = self.names().volume(&of.volume);
        let volume = self.engine.volume(&name).await?;
        // Where no directory is in reach, no point was made.
        if volume.and_then(|volume| volume.directory).is_none() {
            return Ok(Done::already());
        }
        let point = self.point(of).await?;
        if !point.exists() {
            return Ok(Done::already());
        }
        blocking(move || point.remove()).await?;
        Ok(Done::now())
    }

    async fn point(&self, of: &PointOf) -> Result<Point, ChangeError> {
        let name = self.names().volume(&of.volume);
        let volume = self.engine.volume(&name).await?;
        let directory = volume.and_then(|volume| volume.directory);
        let directory = directory.ok_or_else(|| ChangeError::Probe {
            what: format!("finding the directory of volume {name}"),
            why: "the engine names none".to_owned(),
        })?;
        let directory = PathBuf::from(directory);
        let name = format!("lfctl-point-{}", of.generation);
        Ok(Point::beside(Path::new(&directory), &name))
    }
}

/// Runs work on many files beside the signals that end it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ChangeError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(std::io::Error::other)??)
}
