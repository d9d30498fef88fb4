//! `releases.json`: the highest release of each name that this host took.
//!
//! An old bundle never stops being signed. What keeps it from being played
//! back is that the host remembers what it had. Invariant: a counter never
//! falls here; only a bundle whose signature held raises it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::stack::release::Release;
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, DocumentError, Format, Malformed, Text, Versioned, Writer};

/// Version of the file that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// What this host has seen of each release name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releases {
    schema: u32,
    #[serde(default)]
    lfctl: Writer,
    #[serde(rename = "releases")]
    by_name: BTreeMap<String, Seen>,
}

/// The highest release of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    pub counter: u64,
    pub version: Version,
    /// Digest of the `index.json` of the bundle.
    pub bundle: Digest,
    /// When it was taken.
    pub at: Timestamp,
}

/// Why a release is not taken, or the file not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleasesError {
    /// The release is older than one that was here.
    #[error(
        "bundle holds {release} (counter {}), and this host has had {} (counter {})",
        release.counter, seen.version, seen.counter
    )]
    Older {
        /// The release of the bundle.
        release: Box<Release>,
        /// The highest one seen.
        seen: Box<Seen>,
    },
    /// The file is damaged, or newer than this lfctl, or cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Versioned for Releases {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl Releases {
    /// Reads the file; one that does not exist knows nothing.
    pub fn load(path: &Path) -> Result<Self, ReleasesError> {
        Ok(versioned::load(path)?.unwrap_or_else(|| Self {
            schema: SCHEMA,
            lfctl: Writer,
            by_name: BTreeMap::new(),
        }))
    }

    /// Refuses a release that is older than one of its name that was here.
    pub fn check(&self, release: &Release) -> Result<(), ReleasesError> {
        match self.by_name.get(&release.name) {
            Some(seen) if seen.counter > release.counter => Err(ReleasesError::Older {
                release: Box::new(release.clone()),
                seen: Box::new(seen.clone()),
            }),
            _ => Ok(()),
        }
    }

    /// The other bundle of this name and counter that was here. A counter names
    /// one bundle: the maker counted wrongly, or somebody else has the key.
    pub fn twin(&self, release: &Release, bundle: Digest) -> Option<&Seen> {
        let seen = self.by_name.get(&release.name)?;
        (seen.counter == release.counter && seen.bundle != bundle).then_some(seen)
    }

    /// Whether this release, or a later one of its name, was here.
    pub fn has_seen(&self, release: &Release) -> bool {
        let seen = self.by_name.get(&release.name);
        seen.is_some_and(|seen| seen.counter >= release.counter)
    }

    /// Writes down that this release was taken, unless a higher one was.
    pub(super) fn record(
        path: &Path,
        release: &Release,
        bundle: Digest,
    ) -> Result<(), ReleasesError> {
        let mut known = Self::load(path)?;
        let seen = known.by_name.get(&release.name);
        if seen.is_some_and(|seen| seen.counter >= release.counter) {
            return Ok(());
        }
        let seen = Seen {
            counter: release.counter,
            version: release.version.clone(),
            bundle,
            at: Timestamp::now(),
        };
        known.by_name.insert(release.name.clone(), seen);
        let mut text = serde_json::to_string_pretty(&known).map_err(io::Error::from)?;
        text.push('\n');
        write_atomically(path, text.as_bytes(), 0o600)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;
    use std::os::unix::fs::PermissionsExt;

    fn release(name: &str, counter: u64) -> Release {
        Release {
            name: name.to_owned(),
            version: Version::new(counter, 0, 0),
            counter,
            sdk: BTreeMap::new(),
        }
    }

    #[test]
    fn a_counter_never_falls() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/releases.json");
        let record =
            |release: &Release| Releases::record(&path, release, Digest::of(b"x")).unwrap();
        let check = |release: &Release| Releases::load(&path).unwrap().check(release);
        check(&release("a", 1)).unwrap();
        record(&release("a", 5));
        record(&release("a", 3));
        record(&release("b", 1));
        let error = check(&release("a", 4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bundle holds a 4.0.0 (counter 4), and this host has had 5.0.0 (counter 5)"
        );
        for taken in [
            release("a", 5),
            release("a", 6),
            release("b", 1),
            release("c", 0),
        ] {
            check(&taken).unwrap();
        }
    }

    #[test]
    fn another_bundle_of_the_same_counter_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("releases.json");
        let [one, other] = [&b"one"[..], b"other"].map(Digest::of);
        Releases::record(&path, &release("a", 5), one).unwrap();
        let known = Releases::load(&path).unwrap();
        assert_eq!(known.twin(&release("a", 5), other).unwrap().bundle, one);
        for (name, counter, bundle) in [("a", 5, one), ("a", 6, other), ("b", 5, other)] {
            assert!(known.twin(&release(name, counter), bundle).is_none());
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("releases.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(
            Releases::load(&path),
            Err(ReleasesError::Document(DocumentError::Damaged { .. }))
        ));
        fs::write(&path, r#"{"schema": 2, "releases": ["of another form"]}"#).unwrap();
        assert!(matches!(
            Releases::load(&path),
            Err(ReleasesError::Document(DocumentError::Newer {
                found: 2,
                ..
            }))
        ));
    }
}
