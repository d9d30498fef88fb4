//! What can go wrong with an engine.

use std::time::Duration;

/// What can go wrong with an engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No socket, or nobody answers on it.
    #[error("no container engine answers on {socket}")]
    Unreachable {
        /// What was tried.
        socket: String,
        /// Why it did not work.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine that Docker's own client drives cannot be this one.
    #[error("engine that {origin} chooses cannot be used")]
    Chosen {
        /// What chose it.
        origin: String,
        /// Why it cannot be used.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine answered with an error.
    #[error("engine refused to {action}: {message}")]
    Refused {
        /// What was asked for.
        action: String,
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// The engine's words.
        message: String,
    },
    /// The stream of a load ended with an error, although HTTP said 200.
    #[error("engine could not load {what}: {message}")]
    Load {
        /// The image.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// An object of this name exists and is not lfctl's.
    #[error("{kind} `{name}` exists and does not belong to appliance `{appliance}`")]
    Foreign {
        /// `container`, `network` or `volume`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The appliance that wanted the name.
        appliance: String,
    },
    /// A call took longer than it may.
    #[error("engine did not {action} within {} s", limit.as_secs())]
    Timeout {
        /// What was asked for.
        action: String,
        /// How long it was given.
        limit: Duration,
    },
}
