//! A release: its name, its version, and a counter that only grows.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};
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
    /// Versions of Langfuse's SDKs that fit it, by SDK, such as `python`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(test, schemars(with = "BTreeMap<String, String>"))]
    pub sdk: BTreeMap<String, VersionReq>,
}

impl Release {
    /// The SDKs that fit it, in one line; `None` where it names none.
    pub fn sdks(&self) -> Option<String> {
        let sdks = self.sdk.iter();
        let sdks: Vec<_> = sdks
            .map(|(name, versions)| format!("{name} {versions}"))
            .collect();
        (!sdks.is_empty()).then(|| sdks.join("; "))
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What a release does to the databases of the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SchemaChange {
    /// The release before can work on them.
    #[default]
    Additive,
    /// It cannot: going back takes the data from before.
    Destructive,
}
