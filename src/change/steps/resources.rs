//! Networks and volumes.

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::change::stop;
use crate::engine::ContainerEngine;
use crate::render;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn create_network(&mut self, name: &str) -> Result<Done, ChangeError> {
        let networks = render::networks(self.appliance.name());
        let Some(spec) = networks.iter().find(|spec| spec.name == name) else {
            return Ok(Done::already());
        };
        let found = self.engine.network(name).await?;
        if found.as_ref().is_some_and(|found| spec.fits(found)) {
            return Ok(Done::already());
        }
        let mut done = Done::now();
        if found.is_some() {
            self.clear().await?;
            self.engine.remove_network(name).await?;
            done = Done::with("made anew, and all containers with it".to_owned());
        }
        self.engine.create_network(spec).await?;
        Ok(done)
    }

    /// Stops and removes all containers, the last started first.
    async fn clear(&self) -> Result<(), ChangeError> {
        self.await_job().await?;
        for name in stop::order(&self.target.stack) {
            let service = self.target.service(name)?;
            let container = self.names().container(name);
            if let Some(found) = self.engine.container(&container).await? {
                stop::stop(self.engine, &found, &service.stop).await?;
                self.engine.remove(&container).await?;
            }
        }
        Ok(self.engine.remove(&self.names().job()).await?)
    }

    pub(super) async fn create_volume(&mut self, name: &str) -> Result<Done, ChangeError> {
        if self.engine.volume(name).await?.is_some() {
            return Ok(Done::already());
        }
        let volumes = render::volumes(&self.target.stack, self.appliance.name());
        if let Some((name, owner)) = volumes.iter().find(|(volume, _)| volume == name) {
            self.engine.create_volume(name, owner).await?;
        }
        Ok(Done::now())
    }
}
