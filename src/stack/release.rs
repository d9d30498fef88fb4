//! A release: its name, its version, and a counter that only grows.

use semver::Version;
use serde::{Deserialize, Serialize};

/// A release of an appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Release line of the maker, such as `langfuse`. Counters are compared
    /// only within one name.
    pub name: String,
    /// Version of the release.
    pub version: Version,
    /// Grows with every release of this name; a host never goes back.
    pub counter: u64,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What a release does to the databases of the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaChange {
    /// The release before can work on them.
    #[default]
    Additive,
    /// It cannot: going back takes the data from before.
    Destructive,
}
