//! The lock beside a bundle spec: which image manifest each reference stood
//! for. It is committed with the spec, so a diff of it is what an upgrade
//! changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;

/// Version of the lock format that this lfctl writes. Version 1, which held
/// one platform, is read as well.
pub const SCHEMA: u32 = 2;

/// References resolved to image manifests, by platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Format version, see [`SCHEMA`].
    pub schema: u32,
    /// What is known of each platform, such as `linux/amd64`.
    pub platforms: BTreeMap<String, Locked>,
}

/// The images of one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Locked {
    /// Digest of the image manifest by reference.
    pub images: BTreeMap<String, Digest>,
    /// Bytes of each layer once inflated, as seen when its content was
    /// checked. The digest holds the content fast, so this need not be done
    /// again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<Digest, u64>,
}

/// Version 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnePlatform {
    #[expect(dead_code, reason = "read before, to tell the versions apart")]
    schema: u32,
    platform: String,
    images: BTreeMap<String, Digest>,
    #[serde(default)]
    layers: BTreeMap<Digest, u64>,
}

#[derive(Deserialize)]
struct Probe {
    schema: u32,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            platforms: BTreeMap::new(),
        }
    }
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
    #[error("lock has schema {0}; this lfctl reads 1 to {SCHEMA}")]
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
        let probe: Probe = toml::from_str(text)?;
        match probe.schema {
            SCHEMA => Ok(toml::from_str(text)?),
            1 => {
                let one: OnePlatform = toml::from_str(text)?;
                let locked = Locked {
                    images: one.images,
                    layers: one.layers,
                };
                Ok(Self::of(one.platform, locked))
            }
            other => Err(LockError::Schema(other)),
        }
    }

    /// A lock of one platform.
    pub fn of(platform: String, locked: Locked) -> Self {
        Self {
            platforms: BTreeMap::from([(platform, locked)]),
            ..Self::default()
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
        let locked = Locked {
            images: BTreeMap::from([("docker.io/a/b:1.0".to_owned(), Digest::of(b"x"))]),
            layers: BTreeMap::from([(Digest::of(b"layer"), 7)]),
        };
        let mut lock = Lock::of("linux/amd64".to_owned(), locked.clone());
        lock.platforms.insert("linux/arm64".to_owned(), locked);
        assert_eq!(Lock::parse(&lock.to_text().unwrap()).unwrap(), lock);
        assert!(matches!(
            Lock::parse("schema = 3\n"),
            Err(LockError::Schema(3))
        ));
        assert_eq!(
            Lock::path_beside(Path::new("bundles/a.toml")),
            Path::new("bundles/a.toml.lock")
        );
    }

    #[test]
    fn the_version_of_one_platform_is_read() {
        let digest = Digest::of(b"x");
        let text = format!(
            "schema = 1\nplatform = \"linux/amd64\"\n[images]\n\"a/b:1\" = \"{digest}\"\n\
             [layers]\n\"{digest}\" = 7\n"
        );
        let lock = Lock::parse(&text).unwrap();
        let locked = &lock.platforms["linux/amd64"];
        assert_eq!(
            (locked.images["a/b:1"], locked.layers[&digest]),
            (digest, 7)
        );
        Lock::parse(&format!("{text}more = 1\n")).unwrap_err();
        Lock::parse("schema = 2\nplatform = \"linux/amd64\"\nplatforms = {}\n").unwrap_err();
    }
}
