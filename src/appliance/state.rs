//! `state.json`: what is installed, or about to be.
//!
//! Invariant: `status` is `installed` only after every probe held. An install
//! writes the file once before it touches the engine, so that whatever it
//! makes can be found again and removed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ApplianceError;
use crate::bundle::manifest::Release;
use crate::engine::{EngineFacts, EngineKind};
use crate::oci::digest::Digest;
use crate::stack::Stack;

/// Version of the file that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// What is installed. Unknown fields are ignored: only `schema` decides
/// whether a reader may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The lfctl that wrote the file.
    pub lfctl: String,
    /// Where it stands.
    pub status: Status,
    /// The release that runs, or whose data is kept.
    pub release: Release,
    /// The highest counter ever seen, by release name.
    pub highest_counters: BTreeMap<String, u64>,
    /// Digest of the `index.json` of the bundle it came from.
    pub bundle: Digest,
    /// Key that signed the bundle; `None` when the signature was skipped.
    pub key: Option<String>,
    /// The engine it was installed into.
    pub engine: EngineKind,
    /// Which one of that kind; `None` in a file of an older lfctl.
    #[serde(default)]
    pub engine_at: Option<EnginePlace>,
    /// Images by the key that services use.
    pub images: BTreeMap<String, InstalledImage>,
    /// The stack definition as it came with the bundle.
    pub stack: Stack,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Whether it was ever installed as a whole, so that its volumes hold data.
    #[serde(default)]
    pub holds_data: bool,
    /// Short hashes of secrets whose change loses data.
    pub fingerprints: BTreeMap<String, String>,
    /// When this was written.
    pub updated: Timestamp,
}

/// An engine among others of its kind, such as a rootless one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EnginePlace {
    /// Where it listened; the same engine may listen elsewhere too.
    pub socket: String,
    /// Where it keeps its data.
    pub data_root: String,
}

impl EnginePlace {
    /// That of an engine.
    pub fn of(facts: &EngineFacts) -> Self {
        Self {
            socket: facts.socket.clone(),
            data_root: facts.data_root.clone(),
        }
    }
}

/// Where an appliance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// An install began and has not reached its end.
    Installing,
    /// Installed.
    Installed,
    /// Uninstalled; volumes and secrets are kept.
    Uninstalled,
}

/// An image in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledImage {
    /// Reference as operators know it.
    pub reference: String,
    /// The engine's id.
    pub id: String,
    /// References that lfctl makes in the engine.
    pub tags: Vec<String>,
}

impl State {
    /// Parses the file that lies at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ApplianceError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
            lfctl: String,
        }
        let damaged = |source| ApplianceError::Damaged {
            path: path.to_owned(),
            source,
        };
        let head: Head = serde_json::from_str(text).map_err(damaged)?;
        if head.schema > SCHEMA {
            return Err(ApplianceError::Newer {
                path: path.to_owned(),
                writer: head.lfctl,
            });
        }
        let mut state: Self = serde_json::from_str(text).map_err(damaged)?;
        // An older lfctl did not write it down.
        state.holds_data |= state.status == Status::Installed;
        Ok(state)
    }

    /// The engine it was installed into, when `engine` keeps its data elsewhere.
    /// That alone is no proof: the data may have been moved.
    pub fn elsewhere(&self, engine: &EngineFacts) -> Option<&EnginePlace> {
        let place = self.engine_at.as_ref()?;
        (place.data_root != engine.data_root).then_some(place)
    }

    /// Engine ids by image key.
    pub fn image_ids(&self) -> BTreeMap<String, String> {
        self.images
            .iter()
            .map(|(key, image)| (key.clone(), image.id.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_is_refused_with_the_version_that_wrote_it() {
        let text = r#"{"schema": 2, "lfctl": "9.1.0", "something": "new"}"#;
        let error = State::parse(text, Path::new("/x/state.json")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/x/state.json was written by lfctl 9.1.0, in a format that this lfctl does not know"
        );
    }
}
