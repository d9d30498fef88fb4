//! What is true of an installed appliance right now.
//!
//! [`gather`] asks everything at once, each question with its own limit, and
//! changes nothing, except that the end-to-end probe leaves one event behind.
//! An answer that did not come is [`Fact::Unknown`] with the reason, never a
//! missing line: whoever judges must be able to tell "is well" from "could not
//! be seen". Judging itself is `doctor`'s matter.

#[cfg(test)]
pub(crate) mod canned;
pub mod egress;
mod gather;
pub mod http;
pub mod installed;
pub mod langfuse;
pub mod schema;
pub mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{Container, ContainerEngine, EngineError, EngineFacts, Resource};
use crate::sys::disk::Disk;
use crate::sys::host::Host;
use egress::Attempt;
pub use gather::gather;
use http::HttpError;
pub use installed::Installed;
use langfuse::{Health, ProbeError, UpdateCheck};
use schema::{FailedMigration, SchemaState, ServerFacts};

/// Something that is known, or the reason why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// Known.
    Known(T),
    /// Could not be found out.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The value, or why it is not known.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(why) => Err(why),
        }
    }
}

impl<T, E: Error> From<Result<T, E>> for Fact<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(chain(&error)),
        }
    }
}

/// An error and its sources on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactError {
    /// The engine did not say.
    #[error("the engine gave no answer")]
    Engine(#[from] EngineError),
    /// A command in a container failed.
    #[error("`{command}` in {container} ended with code {code}: {output}")]
    Exec {
        /// The container.
        container: String,
        /// The command without its arguments.
        command: String,
        /// Its exit code.
        code: i64,
        /// Beginning of what it printed.
        output: String,
    },
    /// What came is not what was asked for.
    #[error("cannot read the {what}: {text}")]
    Format {
        /// What was asked for.
        what: String,
        /// Beginning of what came.
        text: String,
    },
    /// The answer took too long.
    #[error("no answer within {} s", limit.as_secs())]
    Timeout {
        /// How long it was given.
        limit: Duration,
    },
}

/// Groups of questions that cost something or leave a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Memory, CPUs, disks.
    Host,
    /// Health of web and worker, and the published port.
    Health,
    /// Both schemas and the background migrations.
    Schema,
    /// Settings of the datastores.
    Settings,
    /// Connects from inside web and worker.
    Egress,
    /// The update check.
    Update,
    /// An event sent and read back.
    Event,
}

impl Probe {
    /// All of them.
    pub fn all() -> BTreeSet<Self> {
        [
            Self::Host,
            Self::Health,
            Self::Schema,
            Self::Settings,
            Self::Egress,
            Self::Update,
            Self::Event,
        ]
        .into()
    }
}

/// An event that made it through the whole stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTrip {
    /// Milliseconds until web accepted it.
    pub accepted_ms: u64,
    /// Milliseconds from then until it could be read.
    pub readable_ms: u64,
}

/// What the worker's own health check said when it was run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandHealth {
    /// Exit code; 0 is healthy.
    pub code: i64,
    /// What it printed, on one line.
    pub output: String,
}

/// Everything that checks look at.
#[derive(Debug)]
pub struct Facts {
    /// The appliance.
    pub installed: Installed,
    /// When gathering began.
    pub now: Timestamp,
    /// The engine.
    pub engine: Fact<EngineFacts>,
    /// Containers by service.
    pub containers: Fact<BTreeMap<String, Container>>,
    /// Networks of the appliance.
    pub networks: Fact<Vec<Resource>>,
    /// Volumes of the appliance.
    pub volumes: Fact<Vec<Resource>>,
    /// The host.
    pub host: Fact<Host>,
    /// Filesystems that fill up, by what lies there: the engine's and lfctl's
    /// own.
    pub disks: BTreeMap<&'static str, Fact<Disk>>,
    /// Web's answer to the health question, or that it gave none.
    pub web: Fact<Result<Health, HttpError>>,
    /// The worker's health.
    pub worker: Fact<CommandHealth>,
    /// Whether the published port takes connections.
    pub published: Fact<Result<(), HttpError>>,
    /// States of the schemas, in the order of the stack.
    pub schemas: Vec<Fact<SchemaState>>,
    /// Background migrations that failed.
    pub background: Fact<Vec<FailedMigration>>,
    /// What the database servers say of themselves, in the order of the
    /// schemas.
    pub servers: Vec<Fact<ServerFacts>>,
    /// Redis's eviction policy; `None` when the stack has no Redis that can
    /// be asked without a password in an argument.
    pub eviction: Option<Fact<String>>,
    /// Whether crash reports are off, by service that has the switch.
    pub crash_reports_off: BTreeMap<String, Fact<bool>>,
    /// Connects from inside, by service.
    pub egress: BTreeMap<String, Fact<Vec<Attempt>>>,
    /// The update check.
    pub update: Fact<UpdateCheck>,
    /// The event that was sent and read back, or where it got lost.
    pub event: Fact<Result<EventTrip, ProbeError>>,
}

/// Runs a command in a container and wants exit code 0.
async fn exec(
    engine: &impl ContainerEngine,
    container: &str,
    command: &[String],
    limit: Duration,
) -> Result<String, FactError> {
    let output = engine.exec(container, command, limit).await?;
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let printed = if output.stderr.trim().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Err(FactError::Exec {
        container: container.to_owned(),
        command: command.first().cloned().unwrap_or_default(),
        code: output.code,
        output: one_line(printed),
    })
}

/// The beginning of a text, on one line.
pub(crate) fn one_line(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = text.char_indices().nth(200) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = one_line(&"é\n".repeat(400));
        assert_eq!(text.chars().count(), 201);
        assert!(!text.contains('\n'));
    }

    #[test]
    fn an_unknown_fact_says_the_whole_chain() {
        let error = FactError::Engine(EngineError::Refused {
            action: "run a command".to_owned(),
            status: Some(409),
            message: "container is not running".to_owned(),
        });
        let fact: Fact<()> = Err::<(), _>(error).into();
        assert_eq!(
            fact.as_result(),
            Err(
                "the engine gave no answer: engine refused to run a command: container is not running"
            )
        );
    }
}
