//! Networks and volumes.

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::engine::ContainerEngine;
use crate::render;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn create_network(&mut self, name: &str) -> Result<Done, ChangeError> {
        if self.engine.network(name).await?.is_some() {
            return Ok(Done::already());
        }
        let networks = render::networks(self.appliance.name());
        if let Some(spec) = networks.iter().find(|spec| spec.name == name) {
            self.engine.create_network(spec).await?;
        }
        Ok(Done::now())
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
