//! How a service ends, and how it takes over changed files without.

use serde::{Deserialize, Serialize};

/// How a service ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stop {
    /// Seconds between the first signal and the kill.
    pub timeout_seconds: u64,
    /// The first signal, where the image's own is not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// A signal that ends it at once instead of after a long wait. It cuts
    /// requests in flight, which clients send again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick_signal: Option<String>,
    /// A log line after which nothing is left to do and a kill is safe: a
    /// Langfuse worker drains, says so, and then never exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_when_logged: Option<String>,
}

/// How a service takes over changed files while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reload {
    /// Command that ends with 0 if it would accept the files.
    pub test: Vec<String>,
    /// The signal that makes it read them.
    pub signal: String,
}
