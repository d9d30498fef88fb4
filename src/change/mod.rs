//! Changing what a host runs: plans, and what carries them out.
//!
//! `plan` and `preflight` are pure. `apply` runs a plan step by step, each
//! announced in the journal before it touches anything; every step may be run
//! again, so that an interrupted change is finished by running it once more.

pub mod apply;
pub mod observe;
pub mod plan;
pub mod probe;
pub mod steps;
pub mod stop;
pub mod uninstall;

use crate::appliance::ApplianceError;
use crate::bundle::open::OpenError;
use crate::engine::EngineError;
use crate::render::RenderError;
use crate::transfer::load::LoadError;

/// What can go wrong while something changes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The appliance's files.
    #[error(transparent)]
    Appliance(#[from] ApplianceError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] OpenError),
    /// Loading an image.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The stack definition asks for something that is not there.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A local file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A service did not become healthy.
    #[error("{service} did not become healthy: {why}")]
    Unhealthy {
        /// The service.
        service: String,
        /// What was seen, with the last lines of its log.
        why: String,
    },
    /// The migration job ended with an error.
    #[error("the migration ended with exit code {code}; the databases keep what it had done")]
    Migration {
        /// Its exit code.
        code: i64,
        /// The last lines of its log, without secrets.
        #[source]
        log: JobLog,
    },
    /// A schema is not what the release brings.
    #[error("the {schema} schema is not the release's: {why}")]
    Schema {
        /// Which one.
        schema: String,
        /// What was read.
        why: String,
    },
    /// A probe did not get the answer that a working stack gives.
    #[error("{what}: {why}")]
    Probe {
        /// What was tried.
        what: String,
        /// What came back.
        why: String,
    },
    /// The operator asked to stop.
    #[error("interrupted after `{after}`")]
    Interrupted {
        /// The last step that ended.
        after: String,
    },
}

/// The end of a job's log, as the cause of a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JobLog(pub String);
