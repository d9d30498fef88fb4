//! Making, starting and removing the containers of services.

use super::BringUp;
use crate::change::blueprint::Blueprint;
use crate::change::error::ChangeError;
use crate::change::fit::is_as;
use crate::change::runner::Done;
use crate::change::stop;
use crate::engine::{ContainerEngine, ContainerState, EngineError, LABEL_CONFIG};
use crate::render::{self, Rendered};
use crate::stack::Service;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn start_service(&mut self, name: &str) -> Result<Done, ChangeError> {
        self.start_as(&self.target, name).await
    }

    pub(super) async fn start_first(&mut self, name: &str) -> Result<Done, ChangeError> {
        let service = self.target.service(name)?;
        let rendered = self.target.render_first_start(service, &self.secrets)?;
        self.start_rendered(service, &rendered).await
    }

    pub(super) async fn start_again(&mut self, name: &str) -> Result<Done, ChangeError> {
        let done = self.start_as(&self.target, name).await?;
        self.await_service(self.target.service(name)?).await?;
        Ok(done)
    }

    /// Starts the container that a stop kept. One that is gone, was made
    /// otherwise, or whose network is not the same any more is made anew.
    pub(super) async fn start_kept(&self, name: &str) -> Result<Done, ChangeError> {
        let rendered = self
            .target
            .render(self.target.service(name)?, &self.secrets)?;
        let (container, hash) = (&rendered.spec.name, &rendered.spec.config_hash);
        let found = self.engine.container(container).await?;
        if found.is_some_and(|found| found.labels.get(LABEL_CONFIG) == Some(hash)) {
            match self.engine.start(container).await {
                Ok(()) => return Ok(Done::now()),
                Err(EngineError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.start_as(&self.target, name).await
    }

    /// Brings a service to what `blueprint` makes of it.
    pub(super) async fn start_as(
        &self,
        blueprint: &Blueprint,
        name: &str,
    ) -> Result<Done, ChangeError> {
        let service = blueprint.service(name)?;
        let rendered = blueprint.render(service, &self.secrets)?;
        self.start_rendered(service, &rendered).await
    }

    /// Brings a service to what it was rendered to.
    pub(super) async fn start_rendered(
        &self,
        service: &Service,
        rendered: &Rendered,
    ) -> Result<Done, ChangeError> {
        if let Some(container) = self.engine.container(&rendered.spec.name).await? {
            if is_as(self, &container, service, rendered).await? {
                return Ok(Done::already());
            }
            if container.state == ContainerState::Running {
                // A migration that an interrupted run left behind may be at
                // work on it.
                self.await_job().await?;
            }
            stop::stop(self.engine, &container, &service.stop).await?;
            self.engine.remove(&container.name).await?;
        }
        self.launch(rendered).await?;
        Ok(Done::now())
    }

    /// Takes back what [`Self::start_service`] did: the container from before
    /// runs and is healthy again, or there is none.
    pub(super) async fn put_back_service(&mut self, name: &str) -> Result<(), ChangeError> {
        let previous = self.previous.as_ref();
        if let Some(previous) = previous
            && let Some(service) = previous.stack.service(name)
        {
            self.start_as(previous, name).await?;
            return self.await_service(service).await;
        }
        let name = self.names().container(name);
        Ok(self.engine.remove(&name).await?)
    }

    /// Stops and removes the container of a service that is not wanted any
    /// more.
    pub(super) async fn retire_service(&mut self, name: &str) -> Result<Done, ChangeError> {
        let container = self.engine.container(&self.names().container(name)).await?;
        let Some(container) = container else {
            return Ok(Done::already());
        };
        let known = self
            .previous
            .as_ref()
            .and_then(|one| one.stack.service(name));
        if let Some(service) = known {
            stop::stop(self.engine, &container, &service.stop).await?;
        }
        self.engine.remove(&container.name).await?;
        Ok(Done::now())
    }

    pub(super) async fn launch(&self, rendered: &Rendered) -> Result<(), ChangeError> {
        let name = &rendered.spec.name;
        self.engine.create(&rendered.spec).await?;
        if !rendered.files.is_empty() {
            let tar = render::files_tar(&rendered.files)?;
            self.engine.upload(name, tar).await?;
        }
        Ok(self.engine.start(name).await?)
    }
}
