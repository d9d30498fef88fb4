//! Generations: what was committed, in the order in which it was.
//!
//! ```text
//! /var/lib/lfctl/<name>/generations/<n>/
//!     generation.json   release, bundle, key, images, schema levels, when, by which command
//!     stack.json        the stack definition; generation.json holds its digest
//!     site.toml         what the operator had decided, 0600
//!     head.tar          the signed head of the bundle, all before its layers
//! ```
//!
//! With them an appliance can be started, examined and taken back without the
//! bundle it came from. `generation.json` is written last: a directory without
//! it belongs to a change that never got so far.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::LastBackup;
use super::{Appliance, ApplianceError};
use crate::oci::digest::Digest;
use crate::stack::Stack;
use crate::stack::release::{Release, SchemaChange};
use crate::sys::fs::{make_dirs, read_optional, write_atomically};
use crate::sys::versioned::{self, Format, Malformed, Text, Versioned};

/// Bytes of the largest file of a generation.
const LIMIT: u64 = 64 << 20;

/// A committed state of an appliance, or one that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Generation {
    /// Counted from 1.
    pub number: u32,
    pub release: Release,
    /// Digest of the `index.json` of the bundle it came from.
    pub bundle: Digest,
    /// Key that signed the bundle; `None` when the signature was skipped.
    pub key: Option<String>,
    /// Images by the key that services use.
    pub images: BTreeMap<String, InstalledImage>,
    /// Digest of `stack.json`.
    pub stack: Digest,
    /// Digest of `site.toml`; `None` in what an lfctl without generations left.
    pub site: Option<Digest>,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Last migration of each schema, by service.
    #[serde(default)]
    pub schemas: BTreeMap<String, String>,
    /// What it did to the databases of the generation before.
    #[serde(default)]
    pub schema_change: SchemaChange,
    /// The newest backup of the generation before, as it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<LastBackup>,
    /// The command that made it.
    pub made_by: String,
    /// When it was written.
    pub at: Timestamp,
}

/// An image in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct InstalledImage {
    /// Reference as operators know it.
    pub reference: String,
    /// The engine's id.
    pub id: String,
    /// References that lfctl makes in the engine.
    pub tags: Vec<String>,
}

/// How a generation compares to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// There is none before it.
    First,
    /// A higher release.
    Newer,
    /// A lower release.
    Older,
    /// The same release from another bundle.
    Rebuilt,
    /// The same bundle with another `site.toml`.
    Changed,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Newer => "newer release",
            Self::Older => "older release",
            Self::Rebuilt => "same release, another bundle",
            Self::Changed => "same bundle, other settings",
        })
    }
}

impl Generation {
    /// How it compares to `before`.
    pub fn compared_to(&self, before: Option<&Self>) -> Comparison {
        let Some(before) = before else {
            return Comparison::First;
        };
        match self.release.counter.cmp(&before.release.counter) {
            std::cmp::Ordering::Greater => Comparison::Newer,
            std::cmp::Ordering::Less => Comparison::Older,
            std::cmp::Ordering::Equal if self.bundle != before.bundle => Comparison::Rebuilt,
            std::cmp::Ordering::Equal => Comparison::Changed,
        }
    }
}

/// `generation.json`.
#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    lfctl: String,
    #[serde(flatten)]
    generation: Generation,
}

impl Versioned for Document {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = 1;

    fn from_text(text: Text<'_>, _schema: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

/// What is kept of a generation beside its record.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The stack definition.
    pub stack: &'a Stack,
    /// The text of `site.toml`, where it is known.
    pub site: Option<&'a str>,
    /// The head of the bundle, where it is at hand.
    pub head: Option<&'a [u8]>,
}

/// The bytes of `stack.json`.
///
/// # Errors
///
/// None that a stack definition could give.
pub fn stack_bytes(stack: &Stack) -> Result<Vec<u8>, ApplianceError> {
    Ok(serde_json::to_vec(stack).map_err(std::io::Error::other)?)
}

impl Appliance {
    fn generation_dir(&self, number: u32) -> PathBuf {
        self.dir().join("generations").join(number.to_string())
    }

    /// Writes down a generation. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn keep_generation(
        &self,
        generation: &Generation,
        kept: &Kept<'_>,
    ) -> Result<(), ApplianceError> {
        let dir = self.generation_dir(generation.number);
        make_dirs(&dir)?;
        write_atomically(&dir.join("stack.json"), &stack_bytes(kept.stack)?, 0o600)?;
        if let Some(site) = kept.site {
            write_atomically(&dir.join("site.toml"), site.as_bytes(), 0o600)?;
        }
        if let Some(head) = kept.head {
            write_atomically(&dir.join("head.tar"), head, 0o600)?;
        }
        let document = Document {
            schema: Document::SCHEMA,
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
            generation: generation.clone(),
        };
        let text = serde_json::to_vec_pretty(&document).map_err(std::io::Error::other)?;
        Ok(write_atomically(
            &dir.join("generation.json"),
            &text,
            0o600,
        )?)
    }

    /// The generations that are written down, the first one first; those that
    /// were never committed included.
    ///
    /// # Errors
    ///
    /// A record is damaged or newer than this lfctl.
    pub fn generations(&self) -> Result<Vec<Generation>, ApplianceError> {
        let entries = match fs_err::read_dir(self.dir().join("generations")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in entries {
            let file = entry?.path().join("generation.json");
            found.extend(versioned::load::<Document>(&file)?);
        }
        let mut found: Vec<_> = found.into_iter().map(|one| one.generation).collect();
        found.sort_by_key(|generation| generation.number);
        Ok(found)
    }

    /// The stack definition of a generation.
    ///
    /// # Errors
    ///
    /// The file is gone, or is not what the generation was made from.
    pub fn stack_of(&self, generation: &Generation) -> Result<Stack, ApplianceError> {
        let file = self.generation_dir(generation.number).join("stack.json");
        let lost = |why: &str| ApplianceError::Generation {
            file: file.clone(),
            why: why.to_owned(),
        };
        let bytes = read_optional(&file, LIMIT)?.ok_or_else(|| lost("it is gone"))?;
        if Digest::of(&bytes) != generation.stack {
            return Err(lost("it is not what was written"));
        }
        serde_json::from_slice(&bytes).map_err(|error| lost(&error.to_string()))
    }

    /// The `site.toml` of a generation, where it was written down.
    ///
    /// # Errors
    ///
    /// The file is gone, or is not what the generation was made from.
    pub fn site_of(&self, generation: &Generation) -> Result<Option<String>, ApplianceError> {
        let Some(digest) = generation.site else {
            return Ok(None);
        };
        let file = self.generation_dir(generation.number).join("site.toml");
        let lost = |why: &str| ApplianceError::Generation {
            file: file.clone(),
            why: why.to_owned(),
        };
        let bytes = read_optional(&file, LIMIT)?.ok_or_else(|| lost("it is gone"))?;
        if Digest::of(&bytes) != digest {
            return Err(lost("it is not what was written"));
        }
        let text = String::from_utf8(bytes).map_err(|error| lost(&error.to_string()))?;
        Ok(Some(text))
    }

    /// Where the head of the bundle of a generation is kept.
    pub fn head_path(&self, generation: &Generation) -> PathBuf {
        self.generation_dir(generation.number).join("head.tar")
    }

    /// The head of the bundle of a generation, where it was at hand.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn head_of(&self, generation: &Generation) -> Result<Option<Vec<u8>>, ApplianceError> {
        let file = self.generation_dir(generation.number).join("head.tar");
        Ok(read_optional(&file, LIMIT)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::appliance::state::Status;
    use crate::fake::bundle::Fake;
    use crate::sys::paths::Paths;

    fn generation(number: u32, stack: &Stack, site: &str) -> Generation {
        Generation {
            number,
            release: Fake::small().unwrap().release,
            bundle: Digest::of(b"bundle"),
            key: None,
            images: BTreeMap::new(),
            stack: Digest::of(&stack_bytes(stack).unwrap()),
            site: Some(Digest::of(site.as_bytes())),
            listen: ([127, 0, 0, 1], 80).into(),
            schemas: BTreeMap::new(),
            schema_change: SchemaChange::Additive,
            backup: None,
            made_by: "install".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn appliance(dir: &Path) -> Appliance {
        Appliance::named(&Paths::below(dir), "a").unwrap()
    }

    #[test]
    fn what_is_kept_is_read_back_and_a_change_of_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = appliance(dir.path());
        let stack = Fake::small().unwrap().stack;
        for number in [10, 9] {
            let kept = Kept {
                stack: &stack,
                site: Some("schema = 1\n"),
                head: Some(b"head"),
            };
            let generation = generation(number, &stack, "schema = 1\n");
            appliance.keep_generation(&generation, &kept).unwrap();
        }
        let numbers: Vec<_> = appliance.generations().unwrap();
        assert_eq!(
            numbers.iter().map(|g| g.number).collect::<Vec<_>>(),
            [9, 10]
        );
        let last = &numbers[1];
        assert_eq!(appliance.stack_of(last).unwrap(), stack);
        assert_eq!(appliance.site_of(last).unwrap().unwrap(), "schema = 1\n");
        assert_eq!(appliance.head_of(last).unwrap().unwrap(), b"head");
        let site = appliance.generation_dir(10).join("site.toml");
        fs_err::write(site, "schema = 1\n# edited\n").unwrap();
        let error = appliance.site_of(last).unwrap_err().to_string();
        assert!(error.contains("not what was written"), "{error}");
        fs_err::remove_file(appliance.generation_dir(10).join("stack.json")).unwrap();
        let error = appliance.stack_of(last).unwrap_err().to_string();
        assert!(error.contains("it is gone"), "{error}");
    }

    #[test]
    fn a_state_of_the_first_schema_becomes_generation_1_and_keeps_its_stack() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = appliance(dir.path());
        let stack = Fake::small().unwrap().stack;
        let first = serde_json::json!({
            "schema": 1, "lfctl": "0.1.0", "status": "installed",
            "release": {"name": "rehearsal", "version": "1.0.0", "counter": 1},
            "highest-counters": {"rehearsal": 1}, "bundle": Digest::of(b"bundle"), "key": null,
            "engine": "docker", "images": {}, "stack": stack, "listen": "127.0.0.1:80",
            "fingerprints": {}, "updated": "2026-01-01T00:00:00Z",
        });
        let file = dir.path().join("var/lib/lfctl/a/state.json");
        write_atomically(&file, first.to_string().as_bytes(), 0o600).unwrap();
        let state = appliance.state().unwrap().unwrap();
        assert_eq!(state.stack, stack);
        assert!(state.holds_data && state.status == Status::Installed);
        assert_eq!((state.current.number, &state.previous), (1, &None));
        appliance.write_state(&state).unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert!(
            !text.contains("init-secret-key"),
            "the stack is still in it"
        );
        let again = appliance.state().unwrap().unwrap();
        assert_eq!(again.stack, stack);
        assert_eq!(again.record.schema, 2);
    }

    #[test]
    fn generations_are_compared_by_release_bundle_and_site() {
        let stack = Fake::small().unwrap().stack;
        let one = generation(1, &stack, "a");
        assert_eq!(one.compared_to(None), Comparison::First);
        let mut two = generation(2, &stack, "b");
        assert_eq!(two.compared_to(Some(&one)), Comparison::Changed);
        two.bundle = Digest::of(b"another");
        assert_eq!(two.compared_to(Some(&one)), Comparison::Rebuilt);
        two.release.counter = 2;
        assert_eq!(two.compared_to(Some(&one)), Comparison::Newer);
        assert_eq!(one.compared_to(Some(&two)), Comparison::Older);
    }
}
