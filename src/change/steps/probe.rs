//! What a new stack must show before it counts as installed: the right
//! version, an event that goes all the way and comes back, both schemas clean.

use std::time::{Duration, Instant};

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::engine::ContainerEngine;
use crate::facts::here::here;
use crate::langfuse::http::Basic;
use crate::langfuse::schema::{SchemaVerdict, schema_state};
use crate::langfuse::{self, Endpoint, TraceId, UpdateCheck, UpdateVerdict};

/// Time for an event to come back. A legacy trace takes up to seven seconds
/// on an idle host.
const READ_BACK: Duration = Duration::from_secs(60);
/// Time for a gateway to turn to another web.
const TURN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// Beyond the client timeouts of Langfuse's own HTTP client.
const UPDATE_CHECK: Duration = Duration::from_secs(35);

fn failed(what: &str, why: impl std::fmt::Display) -> ChangeError {
    ChangeError::Probe {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

/// The gateway's plain-HTTP port on the stack's own network.
async fn endpoint<E: ContainerEngine>(change: &BringUp<'_, E>) -> Result<Endpoint, ChangeError> {
    endpoint_at(change, change.target.stack.langfuse.gateway_port).await
}

/// The gateway's port that leads to the web that is to be proven.
async fn inner_endpoint<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<Endpoint, ChangeError> {
    let port = change.target.stack.langfuse.inner_port;
    let port = port.ok_or_else(|| failed("reaching the gateway", "it has no inner port"))?;
    endpoint_at(change, port).await
}

async fn endpoint_at<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    port: u16,
) -> Result<Endpoint, ChangeError> {
    let langfuse = &change.target.stack.langfuse;
    let names = change.names();
    let gateway = change
        .engine
        .container(&names.container(&langfuse.gateway))
        .await?;
    let published = change
        .target
        .site
        .tls
        .is_none()
        .then(|| here(change.target.site.listen));
    Endpoint::to_gateway(
        gateway.as_ref(),
        &names.edge(),
        port,
        change.facts.rootless,
        published,
        &change.target.site.url.authority(),
    )
    .map_err(|why| failed("reaching the gateway", why))
}

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn check_schemas(&self) -> Result<Done, ChangeError> {
        let names = self.names();
        let mut read = Vec::new();
        for wanted in &self.target.stack.schemas {
            let container = names.container(&wanted.service);
            let schema = format!("{} ({:?})", wanted.service, wanted.kind);
            let state = schema_state(self.engine, &container, wanted)
                .await
                .map_err(|error| failed("reading a schema", error))?;
            if state.verdict(wanted) != SchemaVerdict::Current {
                return Err(ChangeError::Schema {
                    schema,
                    why: format!(
                        "{} applied, last {}, open {:?}; the release has {} up to {}",
                        state.applied,
                        state.last.as_deref().unwrap_or("none"),
                        state.open,
                        wanted.count,
                        wanted.last
                    ),
                });
            }
            read.push(format!("{} at {}", wanted.service, wanted.last));
        }
        Ok(Done::with(read.join(", ")))
    }

    pub(super) async fn probe_version(&self) -> Result<Done, ChangeError> {
        self.version_at(endpoint(self).await?).await
    }

    pub(super) async fn prove_version(&self) -> Result<Done, ChangeError> {
        self.version_at(inner_endpoint(self).await?).await
    }

    /// Waits a moment for the right one: a gateway turns to another web a
    /// moment after it was told so.
    async fn version_at(&self, endpoint: Endpoint) -> Result<Done, ChangeError> {
        let what = "asking web for its version";
        let wanted = &self.target.stack.langfuse.version;
        let begun = Instant::now();
        loop {
            let answer = langfuse::health(&endpoint).await;
            let why = match answer {
                Ok(health) => match health.version {
                    Some(version) if version == *wanted => {
                        return Ok(Done::with(format!("web {version}")));
                    }
                    Some(version) => format!("it runs {version}, the bundle holds {wanted}"),
                    None => format!("it answered {} without one", health.status),
                },
                Err(error) => error.to_string(),
            };
            if begun.elapsed() >= TURN {
                return Err(failed(what, why));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn probe_event(&self) -> Result<Done, ChangeError> {
        self.event_at(endpoint(self).await?, true).await
    }

    /// Beside an old worker that writes what another line reads, an event can
    /// be read back only once the worker is replaced.
    pub(super) async fn prove_event(&self) -> Result<Done, ChangeError> {
        let line = self.before_change().stack.langfuse.line;
        let is_readable = self.cold || line == self.target.stack.langfuse.line;
        self.event_at(inner_endpoint(self).await?, is_readable)
            .await
    }

    async fn event_at(&self, endpoint: Endpoint, is_readable: bool) -> Result<Done, ChangeError> {
        let what = "sending an event and reading it back";
        let langfuse = &self.target.stack.langfuse;
        let secret = |name: &str| {
            self.secrets
                .get(name)
                .map(|secret| secret.expose().to_owned())
                .ok_or_else(|| failed(what, format!("there is no secret `{name}`")))
        };
        let keys = Basic {
            user: secret(&langfuse.public_key)?,
            password: secret(&langfuse.secret_key)?.into(),
        };
        let id = TraceId::random().map_err(|error| failed(what, error))?;
        langfuse::ingest(&endpoint, &keys, &id)
            .await
            .map_err(|error| failed(what, error))?;
        if !is_readable {
            return Ok(Done::with(
                "accepted; read back once worker is replaced".to_owned(),
            ));
        }
        let took = langfuse::read_back(&endpoint, langfuse.line, &keys, &id, READ_BACK)
            .await
            .map_err(|error| failed(what, error))?;
        Ok(Done::with(format!(
            "trace {id} after {:.1} s",
            took.as_secs_f64()
        )))
    }

    /// Fails where the check goes out or breaks web; a slow one is told by
    /// doctor.
    pub(super) async fn prove_update_check(&self) -> Result<Done, ChangeError> {
        let what = "letting the new web call its update check";
        let web = &self.target.stack.langfuse.web;
        let (own, beside) = (self.names().container(web), self.names().beside(web));
        let is_beside = self.engine.container(&beside).await?.is_some();
        let web = if is_beside { beside } else { own };
        let endpoint = inner_endpoint(self).await?;
        let check = langfuse::update_check(self.engine, &endpoint, &web, UPDATE_CHECK)
            .await
            .map_err(|error| failed(what, error))?;
        let verdict = format!("{}, {} ms", check.verdict, check.elapsed_ms);
        match check.verdict {
            UpdateVerdict::Broken | UpdateVerdict::EgressOpen => Err(failed(what, verdict)),
            _ => Ok(Done::with(verdict)),
        }
    }
}

/// Lets web call its update check through the real endpoint.
pub async fn update_check<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<UpdateCheck, ChangeError> {
    let web = change.names().container(&change.target.stack.langfuse.web);
    let endpoint = endpoint(change).await?;
    // A gateway that was just opened may still answer as a closed one.
    change.version_at(endpoint.clone()).await?;
    langfuse::update_check(change.engine, &endpoint, &web, UPDATE_CHECK)
        .await
        .map_err(|error| failed("letting web call its update check", error))
}
