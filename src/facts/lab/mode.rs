//! What the outside does in the lab.

use serde::Serialize;

/// A way in which a network treats the update check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The name server knows no such name.
    NameNotFound,
    /// The name server says nothing.
    DnsSilent,
    /// The connection is refused.
    Refused,
    /// Packets are dropped.
    Dropped,
    /// The connection is taken, and nothing follows.
    TcpSilent,
    /// TLS with a certificate of nobody web trusts.
    UnknownCertificate,
    /// TLS is completed, and nothing follows.
    TlsSilent,
    /// HTML with status 200.
    CaptivePortal,
    /// Status 503 with the body of a right answer.
    Unavailable,
    /// JSON that is no list of releases.
    WrongJson,
    /// A release whose version is none.
    NoSemver,
    /// A right answer that takes 5 s to arrive.
    SlowBody,
    /// A right answer with a newer release.
    NewerRelease,
}

impl Mode {
    /// All of them, in the order in which they are played.
    pub const ALL: [Self; 13] = [
        Self::NameNotFound,
        Self::DnsSilent,
        Self::Refused,
        Self::Dropped,
        Self::TcpSilent,
        Self::UnknownCertificate,
        Self::TlsSilent,
        Self::CaptivePortal,
        Self::Unavailable,
        Self::WrongJson,
        Self::NoSemver,
        Self::SlowBody,
        Self::NewerRelease,
    ];
}

/// A text that names no mode.
#[derive(Debug, thiserror::Error)]
#[error("no such mode; there are {}", Mode::ALL.map(|mode| mode.to_string()).join(", "))]
pub struct NoSuchMode;

impl std::str::FromStr for Mode {
    type Err = NoSuchMode;

    fn from_str(text: &str) -> Result<Self, NoSuchMode> {
        let named = |mode: &Self| mode.to_string() == text;
        Self::ALL.into_iter().find(named).ok_or(NoSuchMode)
    }
}

/// The name that the responder knows it by.
impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::NameNotFound => "name-not-found",
            Self::DnsSilent => "dns-silent",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::TcpSilent => "tcp-silent",
            Self::UnknownCertificate => "unknown-certificate",
            Self::TlsSilent => "tls-silent",
            Self::CaptivePortal => "captive-portal",
            Self::Unavailable => "unavailable",
            Self::WrongJson => "wrong-json",
            Self::NoSemver => "no-semver",
            Self::SlowBody => "slow-body",
            Self::NewerRelease => "newer-release",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_responder_knows_each_mode_by_its_name() {
        let responder = include_str!("responder.js");
        for mode in Mode::ALL {
            // The name server's answer and the closed port need no name.
            let quoted = format!("'{mode}'");
            let bare = format!("\n  {mode}: ");
            assert!(
                responder.contains(&quoted) || responder.contains(&bare),
                "{mode}"
            );
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
            assert_eq!(
                serde_json::to_value(mode).unwrap().as_str(),
                Some(mode.to_string().as_str())
            );
        }
    }
}
