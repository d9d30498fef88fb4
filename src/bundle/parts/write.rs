//! Cutting a bundle into parts.
//!
//! Invariant: a list names only parts that are complete and have their names.
//! It gets its name last, and one that lies there goes before the first part
//! that it names is replaced. Until then nothing that lies there is touched,
//! and from then on nothing is written: names change, which takes no room on
//! a disk that may be full.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;
use sha2::{Digest as _, Sha256};

use super::list::part_name;
use super::list::{LIST_LIMIT, check_name};
use super::{FORMAT, MOST, PartError, PartList, directory, hash, list_path, signature_path};
use crate::bundle::workers::{self, CHUNK, run_blocking};
use crate::bundle::{Bundle, UntrustedBundle};
use crate::oci::archive::Archive;
use crate::oci::digest::Digest;
use crate::report::event::{Reporter, Step, StepStatus, Unit};
use crate::sign::SecretKey;
use crate::sys::fs::{read_bounded, sync_dir};
use crate::sys::partial::PartialFile;
use crate::sys::partial_set::PartialSet;

/// How a bundle is split, and the name it has in one piece.
#[derive(Debug, Clone)]
pub struct SplitOptions {
    /// Where the bundle would be in one piece.
    pub target: PathBuf,
    /// Bytes of every part but the last.
    pub part_size: u64,
}

impl SplitOptions {
    /// Checks that there can be a list of `size` bytes cut like this.
    ///
    /// # Errors
    ///
    /// The parts would be too many, or a list cannot hold the name.
    pub fn check(&self, size: u64) -> Result<(), PartError> {
        let name = self.target.file_name().unwrap_or_default();
        let shown = name.to_string_lossy();
        let text = name.to_str().ok_or_else(|| {
            format!("{shown:?} cannot be the name of a bundle in parts: it is not UTF-8")
        });
        text.and_then(check_name).map_err(PartError::Name)?;
        let count = size.div_ceil(self.part_size.max(1));
        if count > MOST {
            return Err(PartError::TooMany(count));
        }
        Ok(())
    }

    fn part(&self, at: usize) -> PathBuf {
        part(&self.target, at)
    }

    /// Takes away the list that lies there.
    fn remove_list(&self) -> io::Result<()> {
        let list = list_path(&self.target);
        remove(&list)?;
        remove(&signature_path(&list))?;
        sync_dir(&directory(&self.target))
    }

    /// Parts of an earlier bundle of this name that has more than `count`:
    /// those that its list names and that have the size that it says. A file
    /// that only has such a name is somebody else's.
    fn behind(&self, count: usize) -> Vec<PathBuf> {
        let path = list_path(&self.target);
        let read = read_bounded(&path, LIST_LIMIT).ok();
        let list = read.and_then(|bytes| PartList::parse(&path, &bytes).ok());
        let Some(list) = list.filter(|list| self.target.file_name() == Some(list.name.as_ref()))
        else {
            return Vec::new();
        };
        let is_its_part = |at: &usize| {
            let before = list.part_size.saturating_mul(*at as u64);
            let size = list.part_size.min(list.size.saturating_sub(before));
            fs::symlink_metadata(self.part(*at))
                .is_ok_and(|found| found.is_file() && found.len() == size)
        };
        let listed = (count..list.parts.len()).filter(is_its_part);
        listed.map(|at| self.part(at)).collect()
    }
}

fn most() -> usize {
    usize::try_from(MOST).unwrap_or(usize::MAX)
}

/// A part, counted from 0, of the bundle that would be `target`.
fn part(target: &Path, at: usize) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    target.with_file_name(part_name(&name.to_string_lossy(), at))
}

/// The first part in the making of the bundle that would be `target`.
///
/// # Errors
///
/// `target` names no file.
pub fn first_partial(target: &Path) -> io::Result<PathBuf> {
    PartialFile::path_for(&part(target, 0))
}

/// Removes what an interrupted writer left of the parts of the bundle that
/// would be `target`, however they were cut.
///
/// # Errors
///
/// A part cannot be removed, or another process is writing it.
pub fn discard(target: &Path) -> io::Result<()> {
    (0..most()).try_for_each(|at| PartialFile::discard(&part(target, at)))
}

/// A small file that lies there in full and lacks only its name.
fn nameless(path: &Path, bytes: &[u8]) -> io::Result<PartialFile> {
    let file = PartialFile::create(path)?;
    file.file().write_all_at(bytes, 0)?;
    file.file().sync_all()?;
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A set of parts in the making. Dropping it removes what there is of it.
#[derive(Debug)]
pub struct PartWriter {
    options: SplitOptions,
    set: PartialSet,
}

impl PartWriter {
    /// Begins the parts of a bundle of at least `size` bytes.
    ///
    /// # Errors
    ///
    /// As [`SplitOptions::check`], or the first cannot be begun.
    pub fn create(options: SplitOptions, size: u64) -> Result<Self, PartError> {
        let parts = Self::reopen(options, size)?;
        parts.set.clear()?;
        Ok(parts)
    }

    /// As [`PartWriter::create`], with what an earlier writer kept.
    ///
    /// # Errors
    ///
    /// As [`PartWriter::create`].
    pub fn reopen(options: SplitOptions, size: u64) -> Result<Self, PartError> {
        options.check(size)?;
        let named = options.clone();
        let set = PartialSet::reopen(options.part_size, Box::new(move |at| named.part(at)))?;
        Ok(Self { options, set })
    }

    /// How it is cut.
    pub fn options(&self) -> &SplitOptions {
        &self.options
    }

    /// Where the bytes go.
    pub fn set(&self) -> &PartialSet {
        &self.set
    }

    /// Gives the parts, whose digests these are, their names and writes the
    /// signed list. Returns where the list is.
    pub fn finish(
        self,
        digests: Vec<Digest>,
        index: Digest,
        comment: &str,
        key: &SecretKey,
    ) -> Result<PathBuf, PartError> {
        let count = digests.len();
        let size = self.set.span()?.size();
        self.options.check(size)?;
        let name = self.options.target.file_name().unwrap_or_default();
        let list = PartList {
            format: FORMAT,
            name: name.to_string_lossy().into_owned(),
            index,
            size,
            part_size: self.options.part_size,
            parts: digests,
        };
        let mut bytes = serde_json::to_vec(&list).map_err(io::Error::from)?;
        bytes.push(b'\n');
        let path = list_path(&self.options.target);
        PartList::parse(&path, &bytes)?;
        let comment = list.comment(comment);
        let signature = key.sign(&bytes, &comment).map_err(PartError::Sign)?;
        let signature = nameless(&signature_path(&path), signature.as_bytes())?;
        let listed = nameless(&path, &bytes)?;
        let behind = self.options.behind(count);
        self.options.remove_list()?;
        self.set.finish()?;
        // Joining what lies there gives the bundle and nothing behind it.
        behind.iter().try_for_each(|path| remove(path))?;
        signature.finish()?;
        listed.finish()?;
        Ok(path)
    }
}

/// Digests of whole files, on all cores.
pub fn digests(
    files: Vec<(Arc<fs::File>, u64)>,
    reporter: &dyn Reporter,
) -> Result<Vec<Digest>, PartError> {
    let size = files.iter().map(|(_, size)| size).sum();
    let step = Step::sized(
        reporter,
        "hash-parts",
        "Listing parts",
        Some(size),
        Unit::Bytes,
    );
    let items: Vec<_> = files.into_iter().enumerate().rev().collect();
    let mut found = workers::run(items, &step, |(at, (file, size)), watch| {
        hash(&file, size, watch).map(|digest| (at, digest))
    })?;
    found.sort_unstable();
    step.finish(StepStatus::Done, Some(format!("{} parts", found.len())));
    Ok(found.into_iter().map(|(_, digest)| digest).collect())
}

/// Cuts a bundle into parts. What was written is opened and verified before
/// it has a name, so a source that changes or cannot be trusted yields nothing.
///
/// # Errors
///
/// Reading, writing or verifying fails, or the parts would be too many.
pub async fn split(
    bundle: &Bundle,
    options: SplitOptions,
    key: &SecretKey,
    reporter: &dyn Reporter,
) -> Result<PathBuf, PartError> {
    let writer = PartWriter::create(options, bundle.size())?;
    writer.set().reserve(bundle.size())?;
    let digests = copy(bundle, &writer, reporter).await?;
    let archive = Archive::over(writer.set().span()?, bundle.path());
    let (files, index) = (writer.set().files()?, bundle.digest());
    run_blocking(reporter, move |reporter| {
        // The signature was checked on the source, and the digest of the
        // index commits to everything else.
        let copied = UntrustedBundle::over(archive)?.trust_blindly()?;
        if copied.digest() != index {
            return Err(PartError::OtherBundle {
                listed: index,
                found: copied.digest(),
            });
        }
        copied.verify_blobs(reporter)?;
        for (file, _) in &files {
            file.sync_all()?;
        }
        Ok(())
    })
    .await
    .map_err(io::Error::other)??;
    let comment = crate::bundle::documents::trusted_comment(bundle.manifest());
    writer.finish(digests, index, &comment, key)
}

/// Copies the bundle and returns the digest of each part.
async fn copy(
    bundle: &Bundle,
    writer: &PartWriter,
    reporter: &dyn Reporter,
) -> Result<Vec<Digest>, PartError> {
    let (size, part_size) = (bundle.size(), writer.options.part_size);
    let step = Step::sized(reporter, "split", "Cutting", Some(size), Unit::Bytes);
    let mut buffer = vec![0; CHUNK];
    let mut digests = Vec::new();
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < size {
        let left = part_size - offset % part_size;
        let want = usize::try_from(left.min(size - offset)).map_or(CHUNK, |left| left.min(CHUNK));
        bundle.read_raw(&mut buffer[..want], offset)?;
        writer.set().write_all_at(&buffer[..want], offset)?;
        hasher.update(&buffer[..want]);
        offset += want as u64;
        if offset == size || offset % part_size == 0 {
            let done = std::mem::take(&mut hasher);
            digests.push(Digest::from_bytes(done.finalize().into()));
        }
        step.progress(offset);
        // So that a Ctrl-C is heard.
        tokio::task::yield_now().await;
    }
    step.finish(StepStatus::Done, Some(format!("{} parts", digests.len())));
    Ok(digests)
}
