//! Waiting until a service is healthy, or can be seen not to become so.

use std::time::{Duration, Instant};

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::engine::{Container, ContainerEngine, ContainerState, HealthState};
use crate::stack::Service;

const POLL: Duration = Duration::from_millis(300);
/// Lines of a log that go into an error.
pub(super) const LOG_LINES: usize = 25;

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn await_healthy(&mut self, name: &str) -> Result<Done, ChangeError> {
        self.await_service(self.target.service(name)?).await?;
        Ok(Done::now())
    }

    pub(super) async fn await_service(&self, service: &Service) -> Result<(), ChangeError> {
        let container = self.names().container(&service.name);
        self.await_container(service, &container).await
    }

    pub(super) async fn await_container(
        &self,
        service: &Service,
        container: &str,
    ) -> Result<(), ChangeError> {
        let limit = Duration::from_secs(service.health.wait_seconds);
        let begun = Instant::now();
        let mut restarts_before = None;
        loop {
            let seen = self.engine.container(container).await?;
            let restarts = seen.as_ref().map_or(0, |container| container.restarts);
            let fresh = restarts.saturating_sub(*restarts_before.get_or_insert(restarts));
            match verdict(seen.as_ref(), fresh) {
                Verdict::Healthy => return Ok(()),
                Verdict::Waiting if begun.elapsed() < limit => tokio::time::sleep(POLL).await,
                verdict => {
                    let why = self.explain(seen.as_ref(), verdict, limit).await;
                    return Err(ChangeError::Unhealthy {
                        service: service.name.clone(),
                        why,
                    });
                }
            }
        }
    }

    async fn explain(
        &self,
        container: Option<&Container>,
        verdict: Verdict,
        limit: Duration,
    ) -> String {
        let Some(container) = container else {
            return "its container is gone".to_owned();
        };
        let mut why = match verdict {
            Verdict::Dead if container.oom_killed => {
                "the kernel killed it for want of memory".to_owned()
            }
            Verdict::Dead => format!(
                "it ends again and again, last with exit code {}",
                container.exit_code.unwrap_or_default()
            ),
            _ => format!("its health check did not hold within {} s", limit.as_secs()),
        };
        if let Some(output) = container.health_output.as_deref().map(str::trim)
            && !output.is_empty()
        {
            why.push_str("\nhealth check: ");
            why.push_str(output);
        }
        if let Ok(logs) = self.engine.logs(&container.name, LOG_LINES, None).await {
            why.push_str("\nlast lines of its log:\n");
            why.push_str(logs.trim_end());
        }
        self.redact(&why)
    }
}

/// How a container stands on its way to being healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Healthy,
    Waiting,
    Dead,
}

/// Restarts after which a container is taken for one that cannot start.
const RESTARTS_THAT_ARE_A_LOOP: u64 = 3;

fn verdict(container: Option<&Container>, fresh_restarts: u64) -> Verdict {
    let Some(container) = container else {
        return Verdict::Dead;
    };
    match (container.state, container.health) {
        (ContainerState::Running, Some(HealthState::Healthy)) => Verdict::Healthy,
        _ if fresh_restarts >= RESTARTS_THAT_ARE_A_LOOP => Verdict::Dead,
        (ContainerState::Exited | ContainerState::Other, _) => Verdict::Dead,
        _ => Verdict::Waiting,
    }
}
