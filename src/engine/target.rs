//! Which engine the operator means.

use std::path::PathBuf;
use std::str::FromStr;

/// The engine to drive. Always one on this host: there is no way to name
/// another one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EngineTarget {
    /// The first local socket that answers.
    #[default]
    Auto,
    /// Docker's sockets only.
    Docker,
    /// Podman's sockets only.
    Podman,
    /// This socket only.
    Socket(PathBuf),
}

/// A text that names no engine on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTargetError {
    /// An address on a network.
    #[error(
        "`{text}` is not a socket on this host, and lfctl connects to nothing else; use docker, podman or unix:///path"
    )]
    Remote {
        /// What was given.
        text: String,
    },
    /// Anything else.
    #[error("`{text}` is not an engine; use docker, podman or unix:///path")]
    Unknown {
        /// What was given.
        text: String,
    },
}

impl FromStr for EngineTarget {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let owned = || text.to_owned();
        match text {
            "docker" => Ok(Self::Docker),
            "podman" => Ok(Self::Podman),
            _ => match text.split_once("://") {
                Some(("unix", path)) if path.starts_with('/') && path.len() > 1 => {
                    Ok(Self::Socket(PathBuf::from(path)))
                }
                Some(("unix", _)) | None => Err(ParseTargetError::Unknown { text: owned() }),
                Some(_) => Err(ParseTargetError::Remote { text: owned() }),
            },
        }
    }
}

impl std::fmt::Display for EngineTarget {
    /// As it is parsed; `auto` where none was named.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Docker => f.write_str("docker"),
            Self::Podman => f.write_str("podman"),
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_spelling() {
        assert_eq!(
            "docker".parse::<EngineTarget>().unwrap(),
            EngineTarget::Docker
        );
        assert_eq!(
            "podman".parse::<EngineTarget>().unwrap(),
            EngineTarget::Podman
        );
        assert_eq!(
            "unix:///run/x.sock".parse::<EngineTarget>().unwrap(),
            EngineTarget::Socket(PathBuf::from("/run/x.sock"))
        );
    }

    #[test]
    fn refuses_what_is_not_on_this_host() {
        for remote in [
            "tcp://127.0.0.1:2375",
            "ssh://host",
            "http://x",
            "npipe://x",
        ] {
            assert!(
                matches!(
                    remote.parse::<EngineTarget>(),
                    Err(ParseTargetError::Remote { .. })
                ),
                "{remote}"
            );
        }
        for unknown in [
            "",
            "Docker",
            "unix://",
            "unix:///",
            "unix://relative",
            "/run/x.sock",
        ] {
            assert!(
                matches!(
                    unknown.parse::<EngineTarget>(),
                    Err(ParseTargetError::Unknown { .. })
                ),
                "{unknown}"
            );
        }
    }
}
