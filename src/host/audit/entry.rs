//! What an audit log holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// When the line was written.
    pub at: Timestamp,
    /// The user of the process and the one who logged in, as the kernel knows
    /// them.
    pub who: String,
    /// What the environment said of the user, which anybody can set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The command, such as `install`.
    pub command: String,
    /// Digest of the bundle's `index.json`, where one was used.
    pub bundle: Option<Digest>,
    /// Key that signed it; `none` when the signature was skipped.
    pub key: Option<String>,
    /// `begun`, `done` or the failure in one line.
    pub result: String,
    /// Digest of the last whole line before, without its newline.
    pub previous: Option<Digest>,
    /// Digest of what stands between that line and this one: a line that was
    /// not written to its end, as when the power failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Digest>,
}

/// The end of the log as it was last written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) lines: usize,
    pub(super) last: Digest,
}
