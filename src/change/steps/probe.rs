//! What a new stack must show before it counts as installed: the right
//! version, an event that goes all the way and comes back, both schemas clean.

use std::time::Duration;

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::engine::ContainerEngine;
use crate::facts::subject::here;
use crate::langfuse::http::Basic;
use crate::langfuse::schema::{SchemaVerdict, schema_state};
use crate::langfuse::{self, Door, TraceId, UpdateCheck};

/// Time for an event to come back. A legacy trace takes up to seven seconds
/// on an idle host.
const READ_BACK: Duration = Duration::from_secs(60);
/// Beyond the client timeouts of Langfuse's own HTTP client.
const UPDATE_CHECK: Duration = Duration::from_secs(35);

fn failed(what: &str, why: impl std::fmt::Display) -> ChangeError {
    ChangeError::Probe {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

/// The gateway's plain-HTTP port on the stack's own network.
async fn door<E: ContainerEngine>(change: &BringUp<'_, E>) -> Result<Door, ChangeError> {
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
    Door::to_gateway(
        gateway.as_ref(),
        &names.edge(),
        langfuse.gateway_port,
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
                        "{} applied, last {}, open {:?}; the release brings {} up to {}",
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
        let wanted = &self.target.stack.langfuse.version;
        let health = langfuse::health(&door(self).await?)
            .await
            .map_err(|error| failed("asking web for its version", error))?;
        match health.version {
            Some(version) if version == *wanted => Ok(Done::with(format!("web {version}"))),
            Some(version) => Err(failed(
                "asking web for its version",
                format!("it runs {version}, the bundle holds {wanted}"),
            )),
            None => Err(failed(
                "asking web for its version",
                format!("it answered {} without one", health.status),
            )),
        }
    }

    pub(super) async fn probe_event(&self) -> Result<Done, ChangeError> {
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
        let door = door(self).await?;
        let id = TraceId::random().map_err(|error| failed(what, error))?;
        langfuse::ingest(&door, &keys, &id)
            .await
            .map_err(|error| failed(what, error))?;
        let took = langfuse::read_back(&door, langfuse.line, &keys, &id, READ_BACK)
            .await
            .map_err(|error| failed(what, error))?;
        Ok(Done::with(format!(
            "trace {id} after {:.1} s",
            took.as_secs_f64()
        )))
    }
}

/// Lets web call its update check through the real endpoint.
pub async fn update_check<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<UpdateCheck, ChangeError> {
    let web = change.names().container(&change.target.stack.langfuse.web);
    langfuse::update_check(change.engine, &door(change).await?, &web, UPDATE_CHECK)
        .await
        .map_err(|error| failed("letting web call its update check", error))
}
