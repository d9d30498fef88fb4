//! What can go wrong with an engine.

use std::time::Duration;

/// What stands behind an error of an engine, as far as it can be told from
/// the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineCause {
    /// This user may not use the socket.
    NotPermitted,
    /// A disk of the engine is full.
    NoSpace,
    /// No range of addresses is left for another network.
    NoAddresses,
    /// The user of a rootless engine has too few ids for the files of an
    /// image.
    NoIds,
}

/// How the system says it, with and without a capital.
const NOT_PERMITTED: &str = "ermission denied";

/// How the versions of Docker and Podman say that no range of addresses is
/// left.
const NO_ADDRESSES: [&str; 3] = [
    "non-overlapping IPv4 address pool",
    "address pools have been fully subnetted",
    "could not find free subnet from subnet pools",
];

/// How Podman and a rootless Docker say that a file of an image has an owner
/// that the engine's user has no id for.
const NO_IDS: [&str; 2] = ["insufficient UIDs or GIDs", "invalid argument"];

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
    /// An engine answers there, and cannot even tell its version.
    #[error("engine on {socket} reports a problem: {message}")]
    Ill {
        /// Where it answers.
        socket: String,
        /// The engine's words.
        message: String,
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

impl EngineError {
    /// What stands behind it, if it can be told.
    pub fn cause(&self) -> Option<EngineCause> {
        match self {
            Self::Unreachable { source, .. } => source
                .to_string()
                .contains(NOT_PERMITTED)
                .then_some(EngineCause::NotPermitted),
            Self::Refused { message, .. } | Self::Load { message, .. }
                if message.contains("no space left") =>
            {
                Some(EngineCause::NoSpace)
            }
            Self::Load { message, .. } => {
                let is_owner = message.contains("lchown");
                let says_so = NO_IDS.iter().any(|words| message.contains(words));
                (is_owner && says_so).then_some(EngineCause::NoIds)
            }
            Self::Refused { message, .. } => NO_ADDRESSES
                .iter()
                .any(|words| message.contains(words))
                .then_some(EngineCause::NoAddresses),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loading(message: &str) -> Option<EngineCause> {
        let error = EngineError::Load {
            what: "an image".to_owned(),
            message: message.to_owned(),
        };
        error.cause()
    }

    #[test]
    fn too_few_ids_of_a_rootless_engine_are_told_from_other_trouble() {
        let podman = "writing blob: adding layer with blob \"sha256:0\": processing tar file\
            (potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for \
            /etc/gshadow): Check /etc/subuid and /etc/subgid if configured locally and run \"podman \
            system migrate\": lchown /etc/gshadow: invalid argument): exit status 1";
        let docker = "failed to register layer: lchown /etc/gshadow: invalid argument";
        for message in [podman, docker] {
            assert_eq!(loading(message), Some(EngineCause::NoIds), "{message}");
        }
        let full = "write /usr/lib/x: no space left on device";
        assert_eq!(loading(full), Some(EngineCause::NoSpace));
        assert_eq!(loading("invalid tar header"), None);
        assert_eq!(loading("lchown /x: read-only file system"), None);
    }
}
