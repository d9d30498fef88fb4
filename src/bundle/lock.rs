//! The lock beside a bundle spec: which image manifest each reference stood
//! for. It is committed with the spec, so a diff of it is what an upgrade
//! changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;

/// Version of the lock format that this lfctl reads and writes.
pub const SCHEMA: u32 = 1;

/// References resolved to image manifests of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Format version, see [`SCHEMA`].
    pub schema: u32,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// Digest of the image manifest by reference.
    pub images: BTreeMap<String, Digest>,
    /// Bytes of each layer once inflated, as seen when its content was
    /// checked. The digest holds the content fast, so this need not be done
    /// again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<Digest, u64>,
}

/// Why a text is not a lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Not TOML of the right shape.
    #[error("lock cannot be read")]
    Read(#[from] toml::de::Error),
    /// It cannot be written as TOML.
    #[error("lock cannot be written")]
    Write(#[from] toml::ser::Error),
    /// A schema this lfctl does not know.
    #[error("lock has schema {0}; this lfctl reads schema {SCHEMA}")]
    Schema(u32),
}

impl Lock {
    /// Where the lock of a spec is.
    pub fn path_beside(spec: &Path) -> PathBuf {
        let mut path = spec.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    /// Reads the text of a lock.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let lock: Self = toml::from_str(text)?;
        if lock.schema == SCHEMA {
            Ok(lock)
        } else {
            Err(LockError::Schema(lock.schema))
        }
    }

    /// The text of the lock.
    pub fn to_text(&self) -> Result<String, LockError> {
        Ok(format!(
            "# Made by `lfctl bundle create`, to be kept with the spec. `--locked` refuses an\n\
             # image that is not the one named here.\n\n{}",
            toml::to_string(self)?
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let lock = Lock {
            schema: SCHEMA,
            platform: "linux/amd64".to_owned(),
            images: BTreeMap::from([("docker.io/a/b:1.0".to_owned(), Digest::of(b"x"))]),
            layers: BTreeMap::from([(Digest::of(b"layer"), 7)]),
        };
        assert_eq!(Lock::parse(&lock.to_text().unwrap()).unwrap(), lock);
        assert!(matches!(
            Lock::parse("schema = 2\nplatform = \"\"\nimages = {}\n"),
            Err(LockError::Schema(2))
        ));
        assert_eq!(
            Lock::path_beside(Path::new("bundles/a.toml")),
            Path::new("bundles/a.toml.lock")
        );
    }
}
