//! What can go wrong while something changes.

use crate::appliance::ApplianceError;
use crate::appliance::journal::JournalError;
use crate::bundle::open::OpenError;
use crate::engine::EngineError;
use crate::host::HostError;
use crate::host::releases::ReleasesError;
use crate::render::RenderError;
use crate::repository::RepositoryError;
use crate::sign::SignError;
use crate::sys::versioned::DocumentError;
use crate::transfer::load::LoadError;

/// What can go wrong while something changes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The appliance's files.
    #[error(transparent)]
    Appliance(#[from] ApplianceError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The files of the whole host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The record of releases.
    #[error(transparent)]
    Releases(#[from] ReleasesError),
    /// The trust store.
    #[error(transparent)]
    Trust(#[from] SignError),
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
    /// The backup repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A stored document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A store did not do what was asked of it.
    #[error("{store}: {why}")]
    Store {
        store: String,
        /// What came back.
        why: String,
    },
    /// A service did not become healthy.
    #[error("{service} did not become healthy: {why}")]
    Unhealthy {
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
    /// The operator asked to stop during a step that may be left.
    #[error("interrupted during `{step}`")]
    InterruptedDuring {
        /// The step, which is run again later.
        step: String,
    },
    /// The change failed, and what it had done was undone.
    #[error("{command} failed and was rolled back")]
    RolledBack {
        command: String,
        /// Why it failed.
        #[source]
        cause: Box<ChangeError>,
    },
    /// The change failed, and so did undoing it.
    #[error("{command} failed, and undoing `{step}` failed too: {undo}")]
    RollbackFailed {
        command: String,
        /// The step that could not be undone.
        step: String,
        /// Why not.
        undo: Box<ChangeError>,
        /// Why the change failed.
        #[source]
        cause: Box<ChangeError>,
    },
    /// The engine lacks images, and there is no bundle to load them from.
    #[error("the engine lacks images of the release, and no bundle was given")]
    NoBundle,
    /// A line of the journal names a step that this lfctl does not know.
    #[error("the journal names step `{step}`, which this lfctl cannot undo")]
    UnknownStep {
        /// Its id.
        step: String,
    },
}

/// The end of a job's log, as the cause of a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JobLog(pub String);
