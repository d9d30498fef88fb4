//! The lock beside a bundle spec: which image manifest each reference stood
//! for. It is committed with the spec, so a diff of it is what an upgrade
//! changes.
//!
//! Digests hold themselves fast, the inflated sizes of layers do not: a wrong
//! one would be signed, and found by a host that cannot get another bundle.
//! So each platform has a checksum. A merge or an edit breaks it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::sys::fs::with_suffix;
use crate::sys::versioned::{self, DocumentError, Format, Malformed, Text, Versioned, Writer};

/// Version of the lock format that this lfctl writes. Version 1, which held
/// one platform, is read as well.
pub const SCHEMA: u32 = 2;

/// References resolved to image manifests, by platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// What is known of each platform, such as `linux/amd64`.
    pub platforms: BTreeMap<String, Locked>,
}

/// The images of one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locked {
    /// Digest of the image manifest by reference.
    pub images: BTreeMap<String, Digest>,
    /// Bytes of each layer once inflated, as seen when its content was
    /// checked. The digest holds the content fast, so this need not be done
    /// again.
    pub layers: BTreeMap<Digest, u64>,
}

impl Locked {
    /// Over every line of it.
    fn checksum(&self) -> Digest {
        let images = self
            .images
            .iter()
            .map(|(name, digest)| format!("{name} {digest}\n"));
        let layers = self
            .layers
            .iter()
            .map(|(digest, size)| format!("{digest} {size}\n"));
        Digest::of(images.chain(layers).collect::<String>().as_bytes())
    }
}

/// Version 2, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: u32,
    #[serde(default)]
    lfctl: Writer,
    platforms: BTreeMap<String, LockedPlatform>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedPlatform {
    checksum: Option<Digest>,
    images: BTreeMap<String, Digest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    layers: BTreeMap<Digest, u64>,
}

impl LockedPlatform {
    fn of(locked: &Locked) -> Self {
        Self {
            checksum: Some(locked.checksum()),
            images: locked.images.clone(),
            layers: locked.layers.clone(),
        }
    }

    fn without_sizes(self) -> Locked {
        Locked {
            images: self.images,
            layers: BTreeMap::new(),
        }
    }

    fn check(self, name: &str) -> Result<Locked, LockError> {
        let mut locked = Locked {
            images: self.images,
            layers: self.layers,
        };
        match self.checksum {
            Some(checksum) if checksum != locked.checksum() => {
                return Err(LockError::Checksum(name.to_owned()));
            }
            Some(_) => {}
            // Nothing vouches for the sizes: they are found out again.
            None => locked.layers.clear(),
        }
        Ok(locked)
    }
}

impl Versioned for Written {
    const FORMAT: Format = Format::Toml;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, schema: u32) -> Result<Self, Malformed> {
        if schema == SCHEMA {
            return text.parse();
        }
        let one: OnePlatform = text.parse()?;
        let platform = LockedPlatform {
            // Nothing vouches for the sizes of layers.
            checksum: None,
            images: one.images,
            layers: BTreeMap::new(),
        };
        Ok(Self {
            schema: SCHEMA,
            lfctl: Writer,
            platforms: BTreeMap::from([(one.platform, platform)]),
        })
    }
}

/// Version 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnePlatform {
    #[expect(dead_code, reason = "read before, to tell the versions apart")]
    schema: u32,
    platform: String,
    images: BTreeMap<String, Digest>,
    #[expect(dead_code, reason = "nothing vouches for the sizes")]
    #[serde(default)]
    layers: BTreeMap<Digest, u64>,
}

/// Why a text is not a lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Damaged, or newer than this lfctl.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It cannot be written as TOML.
    #[error("lock cannot be written")]
    Write(#[from] toml::ser::Error),
    /// It was changed since lfctl wrote it.
    #[error("lock of {0} was merged or edited: its checksum is that of another content")]
    Checksum(String),
}

impl Lock {
    /// Bytes of the largest lock that is read.
    pub const LIMIT: u64 = Written::LIMIT;

    /// Where the lock of a spec is.
    pub fn path_beside(spec: &Path) -> PathBuf {
        with_suffix(spec, ".lock")
    }

    /// Reads the content of `file`, a lock as lfctl wrote it.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, LockError> {
        Self::read(file, bytes, |name, platform| platform.check(name))
    }

    /// Reads the content of a lock that was merged or edited. The sizes of
    /// layers, which nobody can check, are left out.
    pub fn parse_edited(file: &Path, bytes: &[u8]) -> Result<Self, LockError> {
        Self::read(file, bytes, |_, platform| Ok(platform.without_sizes()))
    }

    fn read(
        file: &Path,
        bytes: &[u8],
        check: impl Fn(&str, LockedPlatform) -> Result<Locked, LockError>,
    ) -> Result<Self, LockError> {
        let written: Written = versioned::parse(file, bytes)?;
        let checked = written.platforms.into_iter().map(|(name, platform)| {
            let locked = check(&name, platform)?;
            Ok((name, locked))
        });
        let platforms = checked.collect::<Result<_, LockError>>()?;
        Ok(Self { platforms })
    }

    /// A lock of one platform.
    pub fn of(platform: String, locked: Locked) -> Self {
        Self {
            platforms: BTreeMap::from([(platform, locked)]),
        }
    }

    /// The text of the lock.
    pub fn to_text(&self) -> Result<String, LockError> {
        let platforms = self.platforms.iter();
        let written = Written {
            schema: SCHEMA,
            lfctl: Writer,
            platforms: platforms
                .map(|(name, locked)| (name.clone(), LockedPlatform::of(locked)))
                .collect(),
        };
        Ok(format!(
            "# Made by `lfctl bundle create`, to be kept with the spec. `--locked` refuses an\n\
             # image that is not the one named here.\n\n{}",
            toml::to_string(&written)?
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Lock, LockError> {
        Lock::parse(Path::new("a.lock"), text.as_bytes())
    }

    #[test]
    fn text_round_trips() {
        let locked = Locked {
            images: BTreeMap::from([("docker.io/a/b:1.0".to_owned(), Digest::of(b"x"))]),
            layers: BTreeMap::from([(Digest::of(b"layer"), 7)]),
        };
        let mut lock = Lock::of("linux/amd64".to_owned(), locked.clone());
        lock.platforms.insert("linux/arm64".to_owned(), locked);
        assert_eq!(parse(&lock.to_text().unwrap()).unwrap(), lock);
        assert!(matches!(
            parse("schema = 3\n"),
            Err(LockError::Document(DocumentError::Newer { found: 3, .. }))
        ));
        assert_eq!(
            Lock::path_beside(Path::new("bundles/a.toml")),
            Path::new("bundles/a.toml.lock")
        );
    }

    #[test]
    fn what_was_merged_or_edited_is_refused() {
        let locked = Locked {
            images: BTreeMap::from([("docker.io/a/b:1.0".to_owned(), Digest::of(b"x"))]),
            layers: BTreeMap::from([(Digest::of(b"layer"), 7), (Digest::of(b"other"), 8)]),
        };
        let lock = Lock::of("linux/amd64".to_owned(), locked.clone());
        let text = lock.to_text().unwrap();
        let (image, layer) = (
            Digest::of(b"x").to_string(),
            format!("{}\" = 7\n", Digest::of(b"layer")),
        );
        assert!(text.contains(&layer), "{text}");
        for (from, to) in [
            ("= 7", "= 8"),
            ("a/b:1.0", "a/b:1.1"),
            (&image, &Digest::of(b"y").to_string()),
            (&format!("\"{layer}"), ""),
        ] {
            let error = parse(&text.replace(from, to)).unwrap_err();
            assert!(
                matches!(&error, LockError::Checksum(name) if name == "linux/amd64"),
                "{error}"
            );
        }

        // Without a checksum the digests count, the sizes do not.
        let is_sum = |line: &&str| line.starts_with("checksum");
        let old: Vec<_> = text.lines().filter(|line| !is_sum(line)).collect();
        let read = parse(&old.join("\n")).unwrap();
        let read = &read.platforms["linux/amd64"];
        assert_eq!(read.images, locked.images);
        assert!(read.layers.is_empty());
    }

    #[test]
    fn the_version_of_one_platform_is_read() {
        let digest = Digest::of(b"x");
        let text = format!(
            "schema = 1\nplatform = \"linux/amd64\"\n[images]\n\"a/b:1\" = \"{digest}\"\n\
             [layers]\n\"{digest}\" = 7\n"
        );
        let lock = parse(&text).unwrap();
        let locked = &lock.platforms["linux/amd64"];
        assert_eq!(locked.images["a/b:1"], digest);
        assert!(locked.layers.is_empty());
        parse(&format!("{text}more = 1\n")).unwrap_err();
        parse("schema = 2\nplatform = \"linux/amd64\"\nplatforms = {}\n").unwrap_err();
    }
}
