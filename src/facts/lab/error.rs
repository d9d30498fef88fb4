//! Why the lab could not be played.

use super::mode::Mode;
use crate::engine::EngineError;
use crate::langfuse::query::QueryError;
use crate::render::RenderError;

/// Why a mode could not be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Podman's resolver asks nobody from a network without a route out.
    #[error("the lab needs Docker, whose resolver can be led to a name server in the lab")]
    NotDocker,
    /// There is nothing to make the lab's web from.
    #[error("the appliance has no container for web")]
    NoWeb,
    /// There is nothing to make the lab's Postgres from.
    #[error("the appliance has no container for Postgres")]
    NoPostgres,
    /// The lab's Postgres does not answer.
    #[error("the lab's Postgres does not serve")]
    PostgresNotServing(#[source] QueryError),
    /// The responder ended at once.
    #[error("the responder does not run")]
    NoResponder,
    /// Web does not answer.
    #[error("the lab's web does not serve; it logged: {log}")]
    NotServing {
        /// The end of its log.
        log: String,
    },
    /// What came back is not what was asked for.
    #[error("cannot read what mode {mode} came to: {text}")]
    Format {
        /// The mode.
        mode: Mode,
        /// Beginning of what came.
        text: String,
    },
    /// The engine refused.
    #[error("the engine refused")]
    Engine(#[from] EngineError),
    /// A mode could not be played.
    #[error("cannot play")]
    Query(#[from] QueryError),
    /// The lab's files cannot be put together.
    #[error("cannot write the files of the lab")]
    Files(#[from] RenderError),
}
