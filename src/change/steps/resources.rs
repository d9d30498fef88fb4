//! Networks and volumes.

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::change::stop;
use crate::engine::ContainerEngine;
use crate::host::firewall::{Firewall, Wall};
use crate::render;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn create_network(&mut self, name: &str) -> Result<Done, ChangeError> {
        let networks = render::networks(self.appliance.name(), &self.target.site);
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
            done = Done::with("recreated, and all containers with it".to_owned());
        }
        self.engine.create_network(spec).await?;
        Ok(done)
    }

    pub(super) async fn remove_network(&mut self, name: &str) -> Result<Done, ChangeError> {
        self.engine.remove_network(name).await?;
        Ok(Done::now())
    }

    /// What cannot be closed is left open and shown; doctor reports it.
    pub(super) fn close_firewall(&self) -> Result<Done, ChangeError> {
        let firewall = Firewall::of(self.appliance.name());
        let left = match firewall.wall()? {
            Wall::Closed => return Ok(Done::already()),
            Wall::Open => match firewall.restore() {
                Ok(_) => return Ok(Done::now()),
                Err(error) => error.to_string(),
            },
            Wall::NoBridge => "the engine's bridge is not on this host".to_owned(),
            Wall::NoTool => "there is no iptables on this host".to_owned(),
            Wall::NotRoot => "only root can change it".to_owned(),
        };
        Ok(Done::with(format!("left open: {left}")))
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
