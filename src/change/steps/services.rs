//! Making, starting and removing the containers of services.

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::observe::fits;
use crate::change::runner::Done;
use crate::change::stop;
use crate::engine::{ContainerEngine, ContainerState};
use crate::render::{self, Rendered};

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn start_service(&mut self, name: &str) -> Result<Done, ChangeError> {
        let service = self.target.service(name)?;
        let rendered = self.target.render(service, &self.secrets)?;
        if let Some(container) = self.engine.container(&rendered.spec.name).await? {
            if fits(&container, &rendered.spec) {
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
        self.launch(&rendered).await?;
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

    pub(super) async fn remove_service(&mut self, name: &str) -> Result<(), ChangeError> {
        let name = self.names().container(name);
        Ok(self.engine.remove(&name).await?)
    }
}
