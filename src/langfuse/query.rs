//! Commands that are run in a container to ask a server something.

use std::time::Duration;

use crate::engine::{ContainerEngine, EngineError};
use crate::sys::text::one_line;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The engine did not say.
    #[error("the engine gave no answer")]
    Engine(#[from] EngineError),
    /// A command in a container failed.
    #[error("`{command}` in {container} ended with code {code}: {output}")]
    Exec {
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

/// Runs a command in a container and wants exit code 0.
pub async fn exec(
    engine: &impl ContainerEngine,
    container: &str,
    command: &[String],
    limit: Duration,
) -> Result<String, QueryError> {
    let output = engine.exec(container, command, limit).await?;
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let printed = if output.stderr.trim().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Err(QueryError::Exec {
        container: container.to_owned(),
        command: command.first().cloned().unwrap_or_default(),
        code: output.code,
        output: one_line(printed),
    })
}
