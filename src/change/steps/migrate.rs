//! The migration job.

use std::time::Duration;

use super::BringUp;
use super::health::LOG_LINES;
use crate::change::error::{ChangeError, JobLog};
use crate::change::runner::Done;
use crate::engine::{ContainerEngine, ContainerState};
use crate::report::event::{Level, notice};

/// How long a migration that is to be undone may go on.
const LAST_CHANCE: Duration = Duration::from_secs(20);

/// How long one that is told to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);

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

    /// Removes the container of a migration. One that runs may come to its
    /// end, so that no schema is left half way, but not for long.
    pub(super) async fn remove_job(&mut self) -> Result<(), ChangeError> {
        let name = self.names().job();
        if let Ok(ended) = tokio::time::timeout(LAST_CHANCE, self.await_job()).await {
            ended?;
        } else {
            let text = format!(
                "the migration did not end within {} s and is stopped: `lfctl doctor` says what \
                 the databases keep of it",
                LAST_CHANCE.as_secs()
            );
            notice(self.reporter, Level::Warning, "migration.stopped", text);
            self.engine.stop(&name, STOP_LIMIT).await?;
        }
        Ok(self.engine.remove(&name).await?)
    }

    /// Says why nothing seems to happen while an earlier migration runs.
    async fn tell_of_earlier(&self, name: &str) -> Result<(), ChangeError> {
        let left = self.engine.container(name).await?;
        if left.is_some_and(|left| left.state == ContainerState::Running) {
            let text = "a migration that an earlier run began is still at work: waiting for its end; after Ctrl-C, \
                        `lfctl recover` gives it 20 s and goes back";
            notice(self.reporter, Level::Warning, "migration.earlier", text);
        }
        Ok(())
    }

    pub(super) async fn migrate(&mut self) -> Result<Done, ChangeError> {
        let job = self.target.render_job(&self.secrets)?;
        let name = job.spec.name.clone();
        // Exactly one migrator: whatever an interrupted run left behind ends first.
        self.tell_of_earlier(&name).await?;
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
