//! `state.json`: what is installed, or about to be.
//!
//! Invariant: `status` is `installed` only after every probe held. An install
//! writes the file once before it touches the engine, so that whatever it
//! makes can be found again and removed. A change is committed by one atomic
//! write of this file, which names the run that did it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::generation::{Generation, InstalledImage, Kept, stack_bytes};
use super::{Appliance, ApplianceError};
use crate::engine::{EngineFacts, EngineKind};
use crate::oci::digest::Digest;
use crate::stack::Stack;
use crate::stack::release::{Release, SchemaChange};
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, Format, Malformed, Text, Versioned};

/// Version of the file that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 2;

/// What is installed, with the stack that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What `state.json` holds.
    pub record: Recorded,
    /// The stack definition of the current generation.
    pub stack: Stack,
}

impl std::ops::Deref for State {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.record
    }
}

impl std::ops::DerefMut for State {
    fn deref_mut(&mut self) -> &mut Recorded {
        &mut self.record
    }
}

/// The content of `state.json`. Unknown fields are ignored: only `schema`
/// decides whether a reader may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recorded {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The lfctl that wrote the file.
    pub lfctl: String,
    /// Where it stands.
    pub status: Status,
    /// What runs, is being installed, or whose data is kept.
    pub current: Generation,
    /// What a rollback goes back to.
    #[serde(default)]
    pub previous: Option<Generation>,
    /// The run that wrote the file; empty when an lfctl without names of runs
    /// wrote it.
    #[serde(default)]
    pub run: String,
    /// The highest counter ever seen, by release name.
    pub highest_counters: BTreeMap<String, u64>,
    /// The engine it was installed into.
    pub engine: EngineKind,
    /// Which one of that kind; `None` in a file of an older lfctl.
    #[serde(default)]
    pub engine_at: Option<EnginePlace>,
    /// Whether it was ever installed as a whole, so that its volumes hold data.
    #[serde(default)]
    pub holds_data: bool,
    /// Short hashes of secrets whose change loses data.
    pub fingerprints: BTreeMap<String, String>,
    /// Services that were stopped on purpose.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stopped: BTreeSet<String>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// An install began and has not reached its end.
    Installing,
    Installed,
    /// Uninstalled; volumes and secrets are kept.
    Uninstalled,
}

impl Appliance {
    fn state_path(&self) -> PathBuf {
        self.dir().join("state.json")
    }

    /// What is installed, if anything is.
    pub fn state(&self) -> Result<Option<State>, ApplianceError> {
        let Some(stored) = versioned::load::<Stored>(&self.state_path())? else {
            return Ok(None);
        };
        let stack = match stored.stack {
            Some(stack) => stack,
            None => self.stack_of(&stored.record.current)?,
        };
        Ok(Some(State {
            record: stored.record,
            stack,
        }))
    }

    /// Writes what is installed: the last step of every change.
    pub fn write_state(&self, state: &State) -> Result<(), ApplianceError> {
        let mut record = state.record.clone();
        record.schema = SCHEMA;
        env!("CARGO_PKG_VERSION").clone_into(&mut record.lfctl);
        // An older lfctl kept the stack in the file itself.
        if self.stack_of(&record.current).is_err() {
            let kept = Kept {
                stack: &state.stack,
                site: None,
                head: None,
            };
            self.keep_generation(&record.current, &kept)?;
        }
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
        // It holds hashes of secrets, some of which people choose.
        Ok(write_atomically(&self.state_path(), &text, 0o600)?)
    }
}

impl Recorded {
    /// The engine it was installed into, when `engine` keeps its data elsewhere.
    /// That alone is no proof: the data may have been moved.
    pub fn elsewhere(&self, engine: &EngineFacts) -> Option<&EnginePlace> {
        let place = self.engine_at.as_ref()?;
        (place.data_root != engine.data_root).then_some(place)
    }

    /// Engine ids by image key.
    pub fn image_ids(&self) -> BTreeMap<String, String> {
        self.current
            .images
            .iter()
            .map(|(key, image)| (key.clone(), image.id.clone()))
            .collect()
    }
}

/// `state.json` as it is read: the stack lies elsewhere since schema 2.
struct Stored {
    record: Recorded,
    stack: Option<Stack>,
}

impl Versioned for Stored {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, schema: u32) -> Result<Self, Malformed> {
        if schema > 1 {
            let mut record: Recorded = text.parse()?;
            // What is installed as a whole has data, whatever else is written.
            record.holds_data |= record.status == Status::Installed;
            return Ok(Self {
                record,
                stack: None,
            });
        }
        let first: First = text.parse()?;
        first.into_stored()
    }
}

/// Schema 1, which knew one generation and held its stack.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct First {
    lfctl: String,
    status: Status,
    release: Release,
    highest_counters: BTreeMap<String, u64>,
    bundle: Digest,
    key: Option<String>,
    engine: EngineKind,
    #[serde(default)]
    engine_at: Option<EnginePlace>,
    images: BTreeMap<String, InstalledImage>,
    stack: Stack,
    listen: SocketAddr,
    #[serde(default)]
    holds_data: bool,
    fingerprints: BTreeMap<String, String>,
    updated: Timestamp,
}

impl First {
    fn into_stored(self) -> Result<Stored, Malformed> {
        let stack = stack_bytes(&self.stack).map_err(|error| Malformed::new(error.to_string()))?;
        let record = Recorded {
            schema: 1,
            lfctl: self.lfctl,
            status: self.status,
            current: Generation {
                number: 1,
                release: self.release,
                bundle: self.bundle,
                key: self.key,
                images: self.images,
                stack: Digest::of(&stack),
                site: None,
                listen: self.listen,
                schemas: BTreeMap::new(),
                schema_change: SchemaChange::Additive,
                backup: None,
                made_by: "install".to_owned(),
                at: self.updated,
            },
            previous: None,
            run: String::new(),
            highest_counters: self.highest_counters,
            engine: self.engine,
            engine_at: self.engine_at,
            // An older lfctl did not write it down.
            holds_data: self.holds_data || self.status == Status::Installed,
            fingerprints: self.fingerprints,
            stopped: BTreeSet::new(),
            updated: self.updated,
        };
        Ok(Stored {
            record,
            stack: Some(self.stack),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sys::versioned;

    #[test]
    fn a_newer_file_is_refused_with_the_version_that_wrote_it() {
        let text = br#"{"schema": 3, "lfctl": "9.1.0", "something": "new"}"#;
        let error = versioned::parse::<Stored>(Path::new("/x/state.json"), text)
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(text.contains("/x/state.json"), "{text}");
        assert!(
            text.contains("written by lfctl 9.1.0 with schema 3"),
            "{text}"
        );
    }
}
