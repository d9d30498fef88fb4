//! A bundle over several files, for media that are smaller than it.
//!
//! `NAME.tar.001`, `NAME.tar.002` and so on, joined in this order, are the
//! bundle. `NAME.tar.parts` lists the digest of each, signed in
//! `NAME.tar.parts.minisig`. Parts are read where they are, as one file, and
//! may lie in several directories. Invariant: what [`Parts::check`] has passed
//! was hashed through the descriptors that are read later.

mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use write::{Cut, PartWriter, split};

use super::workers::{self, CHUNK, Watch};
use crate::oci::archive::{Archive, ArchiveError, open_file};
use crate::oci::digest::Digest;
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sign::{KeyId, SignError, Signature, TrustStore};
use crate::sys::span::SpanFile;

/// Version of the list that this lfctl writes and reads.
pub const FORMAT: u32 = 1;
/// Extension of the list.
pub const EXTENSION: &str = "parts";
/// Parts that a bundle may have.
pub const MOST: u64 = 9999;
/// Bytes of the smallest part.
pub const SMALLEST: u64 = 64 << 10;
/// Bytes of the largest list, and of the largest signature over one.
const LIST_LIMIT: u64 = 1 << 20;
const SIGNATURE_LIMIT: u64 = 4 << 10;

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

/// Why parts are not a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The list cannot be read as one.
    #[error("part list `{}` makes no sense: {problem}", .path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The list is not one that a trusted key signed.
    #[error("part list `{}` is not to be trusted", .path.display())]
    Untrusted {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        source: SignError,
    },
    /// A part is nowhere.
    #[error("part `{name}` is missing; looked in {}", show(.dirs))]
    Missing {
        /// The part.
        name: String,
        /// Where it was looked for.
        dirs: Vec<PathBuf>,
    },
    /// A part has another size.
    #[error("part `{}` has {found} bytes, {wanted} were signed: the copy is not whole", .path.display())]
    Size {
        /// The part.
        path: PathBuf,
        /// Bytes of the file.
        found: u64,
        /// Bytes it should have.
        wanted: u64,
    },
    /// A part is another part of the same bundle.
    #[error("`{}` holds what belongs into `{is}`: parts were swapped", .path.display())]
    Swapped {
        /// The file.
        path: PathBuf,
        /// The part that it is.
        is: String,
    },
    /// A part has other content.
    #[error("part `{}` has other content than was signed: its digest is {found}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was read.
        found: Digest,
    },
    /// The parts are right, but the bundle in them is not the listed one.
    #[error("parts are of bundle {found}, the list is of bundle {listed}")]
    OtherBundle {
        /// The bundle in the list.
        listed: Digest,
        /// The bundle in the parts.
        found: Digest,
    },
    /// More parts than a list may have.
    #[error("{0} parts are too many; choose a size that makes {MOST} at most")]
    TooMany(u64),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A part cannot be opened.
    #[error(transparent)]
    Open(#[from] ArchiveError),
    /// The list cannot be signed.
    #[error("part list cannot be signed")]
    Sign(#[source] SignError),
}

fn show(dirs: &[PathBuf]) -> String {
    let dirs: Vec<_> = dirs
        .iter()
        .map(|dir| format!("`{}`", dir.display()))
        .collect();
    dirs.join(", ")
}

impl PartList {
    /// Reads a list and checks that it can be one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.format != FORMAT {
            return Err(format!("format {} is not {FORMAT}", list.format));
        }
        if list.name.is_empty() || list.name.contains('/') || list.name.starts_with('.') {
            return Err(format!("`{}` is no file name", list.name));
        }
        if list.part_size == 0 || list.size == 0 || list.size > u64::MAX >> 1 {
            return Err("a size is out of bounds".to_owned());
        }
        let wanted = list.size.div_ceil(list.part_size);
        if list.parts.len() as u64 != wanted || wanted > MOST {
            let found = list.parts.len();
            return Err(format!("{found} parts are named, the sizes make {wanted}"));
        }
        Ok(list)
    }

    /// Reads the list at `path`, and checks its signature unless there is no
    /// store to check it with. Returns the key that signed it as well.
    pub fn read(
        path: &Path,
        trusted: Option<&TrustStore>,
    ) -> Result<(Self, Option<KeyId>), PartError> {
        let bytes = read_small(path, LIST_LIMIT)?;
        let key = match trusted {
            Some(store) => Some(check_signature(path, &bytes, store)?),
            None => None,
        };
        let list = Self::parse(&bytes).map_err(|problem| PartError::List {
            path: path.to_owned(),
            problem,
        })?;
        Ok((list, key))
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
}

fn part_name(name: &str, at: usize) -> String {
    format!("{name}.{:03}", at + 1)
}

/// Where the list of the bundle file `path` is.
pub fn list_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    name.into()
}

/// Where the signature over the list at `path` is.
pub fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The list that `path` belongs to: it is one, it is a part beside one, or
/// it is the name of a bundle of which only parts are there.
pub fn list_of(path: &Path) -> Option<PathBuf> {
    if path
        .extension()
        .is_some_and(|extension| extension == EXTENSION)
    {
        return Some(path.to_owned());
    }
    let is_number = |text: &str| text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let extension = path.extension().and_then(|extension| extension.to_str());
    let whole = if extension.is_some_and(is_number) {
        path.with_extension("")
    } else if path.exists() {
        return None;
    } else {
        path.to_owned()
    };
    Some(list_path(&whole)).filter(|list| list.exists())
}

fn check_signature(path: &Path, bytes: &[u8], store: &TrustStore) -> Result<KeyId, PartError> {
    let untrusted = |source| PartError::Untrusted {
        path: path.to_owned(),
        source,
    };
    let signature = read_small(&signature_path(path), SIGNATURE_LIMIT)?;
    let text = String::from_utf8_lossy(&signature);
    let signature = Signature::parse(&text).map_err(untrusted)?;
    store.verify(bytes, &signature).map_err(untrusted)
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

/// The parts of a bundle, found and open.
pub struct Parts {
    list: PartList,
    files: Vec<(PathBuf, Arc<fs::File>)>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Looks for every part in `dirs`, in this order, and opens it.
    ///
    /// # Errors
    ///
    /// The first part that is missing everywhere or, where there are files of
    /// its name, has another size in all of them.
    pub fn find(list: PartList, dirs: &[PathBuf]) -> Result<Self, PartError> {
        let mut files = Vec::with_capacity(list.parts.len());
        for at in 0..list.parts.len() {
            files.push(find_part(&list, at, dirs)?);
        }
        Ok(Self { list, files })
    }

    /// Hashes every part, on all cores.
    ///
    /// # Errors
    ///
    /// The first part found whose content is not the signed one.
    pub fn check(&self, reporter: &dyn Reporter) -> Result<(), PartError> {
        let step = Step::sized(
            reporter,
            "check-parts",
            "Checking parts",
            Some(self.list.size),
            Unit::Bytes,
        );
        let all = (0..self.files.len()).rev().collect();
        workers::run(all, &step, |at, watch| self.check_one(at, watch))?;
        step.finish(
            Outcome::Done,
            Some(format!("{} parts are right", self.files.len())),
        );
        Ok(())
    }

    fn check_one(&self, at: usize, watch: &Watch) -> Result<(), PartError> {
        let (Some((path, file)), Some(wanted)) = (self.files.get(at), self.list.parts.get(at))
        else {
            return Ok(());
        };
        let found = hash(file, self.list.part_bytes(at), watch)?;
        if watch.is_over() || found == *wanted {
            return Ok(());
        }
        let other = self.list.parts.iter().position(|digest| *digest == found);
        Err(match other {
            Some(other) => PartError::Swapped {
                path: path.clone(),
                is: self.list.part_name(other),
            },
            None => PartError::Content {
                path: path.clone(),
                found,
            },
        })
    }

    /// The bundle in the parts, under the name `path`.
    pub fn archive(&self, path: &Path) -> io::Result<Archive> {
        let files = self.files.iter().enumerate();
        let files = files.map(|(at, (_, file))| (Arc::clone(file), self.list.part_bytes(at)));
        Ok(Archive::over(SpanFile::new(files)?, path))
    }

    /// Checks that the bundle in the parts is the listed one.
    pub fn belong_to(&self, index: Digest) -> Result<(), PartError> {
        if index == self.list.index {
            Ok(())
        } else {
            Err(PartError::OtherBundle {
                listed: self.list.index,
                found: index,
            })
        }
    }
}

fn find_part(
    list: &PartList,
    at: usize,
    dirs: &[PathBuf],
) -> Result<(PathBuf, Arc<fs::File>), PartError> {
    let (name, wanted) = (list.part_name(at), list.part_bytes(at));
    let mut other = None;
    for path in dirs.iter().map(|dir| dir.join(&name)) {
        match open_file(&path) {
            Ok((file, found)) if found == wanted => return Ok((path, file)),
            Ok((_, found)) => {
                other.get_or_insert(PartError::Size {
                    path,
                    found,
                    wanted,
                });
            }
            Err(ArchiveError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(other.unwrap_or_else(|| PartError::Missing {
        name,
        dirs: dirs.to_vec(),
    }))
}

/// Digest of the first `size` bytes of a file.
fn hash(file: &fs::File, size: u64, watch: &Watch) -> Result<Digest, PartError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size && !watch.is_over() {
        let want = usize::try_from(size - offset).map_or(CHUNK, |left| left.min(CHUNK));
        let read = file.read_at(&mut buffer[..want], offset)?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        hasher.update(&buffer[..read]);
        watch.count(read);
        offset += read as u64;
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

#[cfg(test)]
mod tests;
