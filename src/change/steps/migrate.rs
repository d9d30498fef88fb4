//! The migration job.

use super::BringUp;
use super::health::LOG_LINES;
use crate::change::error::{ChangeError, JobLog};
use crate::change::runner::Done;
use crate::engine::{ContainerEngine, ContainerState};

impl<E: ContainerEngine> BringUp<'_, E> {
    /// Waits for the end of a migration that runs; tells whether there is one.
    pub(super) async fn await_job(&self) -> Result<bool, ChangeError> {
        let name = self.names().job();
        let left = self.engine.container(&name).await?;
        if left
            .as_ref()
            .is_some_and(|left| left.state == ContainerState::Running)
        {
            self.engine.wait(&name).await?;
        }
        Ok(left.is_some())
    }

    /// Lets a migration that runs come to its end, and removes its container.
    pub(super) async fn remove_job(&mut self) -> Result<(), ChangeError> {
        if self.await_job().await? {
            self.engine.remove(&self.names().job()).await?;
        }
        Ok(())
    }

    pub(super) async fn migrate(&mut self) -> Result<Done, ChangeError> {
        let job = self.target.render_job(&self.secrets)?;
        let name = job.spec.name.clone();
        // Exactly one migrator: whatever an interrupted run left behind ends first.
        if self.await_job().await? {
            self.engine.remove(&name).await?;
        }
        self.launch(&job).await?;
        let code = self.engine.wait(&name).await?;
        let log = self.engine.logs(&name, LOG_LINES, None).await?;
        if code != 0 {
            return Err(ChangeError::Migration {
                code,
                log: JobLog(self.redact(log.trim_end())),
            });
        }
        self.engine.remove(&name).await?;
        Ok(Done::now())
    }
}
