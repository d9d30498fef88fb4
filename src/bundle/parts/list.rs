//! The signed list of parts.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{EXTENSION, FORMAT, MOST, PartError};
use crate::host::trust::TrustStore;
use crate::oci::archive::{ArchiveError, open_file};
use crate::oci::digest::Digest;
use crate::report::text::visible;
use crate::sign::Signature;

/// Bytes of the largest list, and of the largest signature over one.
pub(super) const LIST_LIMIT: u64 = 1 << 20;
const SIGNATURE_LIMIT: u64 = 4 << 10;
/// Bytes of the longest name of a bundle: every name made from it is one that
/// filesystems take.
const NAME_LIMIT: usize = 200;

/// The list of the parts of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PartList {
    /// See [`FORMAT`].
    pub format: u32,
    /// File name of the bundle in one piece.
    pub name: String,
    /// Digest of the `index.json` of the bundle.
    pub index: Digest,
    /// Bytes of the bundle.
    pub size: u64,
    /// Bytes of every part but the last.
    pub part_size: u64,
    /// Digest of each part, in order.
    pub parts: Vec<Digest>,
}

impl PartList {
    /// Reads a list and checks that it can be one; `path` is what names it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, PartError> {
        #[derive(Deserialize)]
        struct Probe {
            format: u32,
        }
        let wrong = |problem: String| PartError::List {
            path: path.to_owned(),
            problem,
        };
        let json = |error: serde_json::Error| wrong(error.to_string());
        let probe: Probe = serde_json::from_slice(bytes).map_err(json)?;
        if probe.format > FORMAT {
            return Err(PartError::NewerFormat {
                path: path.to_owned(),
                found: probe.format,
            });
        }
        let list: Self = serde_json::from_slice(bytes).map_err(json)?;
        list.check().map_err(wrong)?;
        Ok(list)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format {} is not {FORMAT}", self.format));
        }
        check_name(&self.name)?;
        if self.part_size == 0 || self.size == 0 || self.size > u64::MAX >> 1 {
            return Err("a size is out of bounds".to_owned());
        }
        let wanted = self.size.div_ceil(self.part_size);
        if self.parts.len() as u64 != wanted || wanted > MOST {
            let found = self.parts.len();
            return Err(format!(
                "{found} parts are named, the sizes make {wanted} of at most {MOST}"
            ));
        }
        Ok(())
    }

    /// Reads the list at `path`, and checks its signature unless there is no
    /// store to check it with. Returns the signature as well.
    pub fn read(
        path: &Path,
        trusted: Option<&TrustStore>,
    ) -> Result<(Self, Option<Signature>), PartError> {
        let bytes = read_small(path, LIST_LIMIT)?;
        let signature = match trusted {
            Some(store) => Some(check_signature(path, &bytes, store)?),
            None => None,
        };
        Ok((Self::parse(path, &bytes)?, signature))
    }

    /// Trusted comment of its signature, where that of the bundle is `bundle`.
    pub(super) fn comment(&self, bundle: &str) -> String {
        format!("{bundle} parts={}", self.parts.len())
    }

    /// File name of a part, counted from 0.
    pub fn part_name(&self, at: usize) -> String {
        part_name(&self.name, at)
    }

    /// Bytes of a part, counted from 0.
    pub fn part_bytes(&self, at: usize) -> u64 {
        let before = self.part_size.saturating_mul(at as u64);
        self.size.saturating_sub(before).min(self.part_size)
    }

    /// The part of this content, if it is one.
    pub(super) fn named(&self, digest: &Digest) -> Option<String> {
        let at = self.parts.iter().position(|part| part == digest)?;
        Some(self.part_name(at))
    }
}

/// Whether a list may hold this name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let problem = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_LIMIT {
        format!("it has more than {NAME_LIMIT} bytes")
    } else if name.starts_with('.') {
        "it begins with `.`".to_owned()
    } else if name.contains('/') || name.contains(char::is_control) || visible(name) != name {
        "it holds `/`, a control character, or one that cannot be seen".to_owned()
    } else {
        return Ok(());
    };
    Err(format!(
        "{name:?} cannot be the name of a bundle in parts: {problem}"
    ))
}

/// File name of a part, counted from 0, of the bundle called `name`.
pub(super) fn part_name(name: &str, at: usize) -> String {
    format!("{name}.{:03}", at + 1)
}

/// Where the list of the bundle file `path` is.
pub fn list_path(path: &Path) -> PathBuf {
    with(path, EXTENSION)
}

/// Where the signature over the list at `path` is.
pub fn signature_path(path: &Path) -> PathBuf {
    with(path, "minisig")
}

fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The list that `path` belongs to, if it is not a bundle in one piece: it is
/// a list, or a part, or the name of a bundle of which only parts are there.
/// The list may lie in one of the directories `more` instead of beside it.
///
/// # Errors
///
/// It is a part, and its list is nowhere.
pub fn list_of(path: &Path, more: &[PathBuf]) -> Result<Option<PathBuf>, PartError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_number = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (list, is_part) = if extension == Some(EXTENSION) {
        (path.to_owned(), true)
    } else if extension.is_some_and(is_number) {
        (list_path(&path.with_extension("")), true)
    } else if path.exists() {
        return Ok(None);
    } else {
        let first = part_name(&path.to_string_lossy(), 0);
        (list_path(path), Path::new(&first).exists())
    };
    let name = list.file_name().unwrap_or_default();
    let mut dirs = vec![directory(&list)];
    dirs.extend_from_slice(more);
    let found = dirs
        .iter()
        .map(|dir| dir.join(name))
        .find(|list| list.exists());
    if found.is_none() && is_part {
        let name = name.to_string_lossy().into_owned();
        return Err(PartError::NoList { name, dirs });
    }
    Ok(found)
}

/// The directory that a file is in.
pub fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn check_signature(path: &Path, bytes: &[u8], store: &TrustStore) -> Result<Signature, PartError> {
    let untrusted = |source| PartError::Untrusted {
        path: path.to_owned(),
        source,
    };
    let signature = match read_small(&signature_path(path), SIGNATURE_LIMIT) {
        Err(PartError::Open(ArchiveError::Io(error)))
            if error.kind() == io::ErrorKind::NotFound =>
        {
            return Err(PartError::Unsigned {
                path: path.to_owned(),
            });
        }
        read => read?,
    };
    let text = String::from_utf8_lossy(&signature);
    let signature = Signature::parse(&text).map_err(untrusted)?;
    store.verify(bytes, &signature).map_err(untrusted)?;
    Ok(signature)
}

fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, PartError> {
    use io::Read;
    let (file, _) = open_file(path)?;
    let mut bytes = Vec::new();
    let mut file = &*file;
    file.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(PartError::List {
            path: path.to_owned(),
            problem: format!("it is larger than {limit} bytes"),
        });
    }
    Ok(bytes)
}
