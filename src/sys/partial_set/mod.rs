//! A large file in the making that may be cut into parts of one size.
//!
//! Bytes go straight to the part they belong to, in any order and from
//! several threads, so that cutting needs no second copy. Every part is a
//! [`PartialFile`]: none has its name before all of them are complete.

use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;
use rustix::fs::Advice;

use super::partial::PartialFile;
use super::span::SpanFile;

/// Names the parts: the target by number, from 0.
pub type NamePart = Box<dyn Fn(usize) -> PathBuf + Send + Sync>;

/// A file in the making. Dropping it without [`PartialSet::finish`] removes
/// what there is of it, also when a writer is left, unless it is to be kept.
#[derive(Debug)]
pub struct PartialSet {
    writer: PartialWriter,
}

/// Writes into a [`PartialSet`] from a thread of its own. Once the set is
/// gone, writing fails.
#[derive(Clone)]
pub struct PartialWriter {
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes of every part but the last; `u64::MAX` for a file in one piece.
    part_size: u64,
    name: NamePart,
    /// Parts that are begun go on with what an earlier writer left.
    reopens: AtomicBool,
    /// What there is stays for a later writer.
    keeps: AtomicBool,
    /// `None` once the set was finished or dropped.
    parts: RwLock<Option<Vec<PartialFile>>>,
}

impl std::fmt::Debug for PartialWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartialWriter")
            .field("part_size", &self.shared.part_size)
            .finish_non_exhaustive()
    }
}

impl PartialSet {
    /// Begins the file that will be `target`, in one piece.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`].
    pub fn whole(target: &Path) -> io::Result<Self> {
        let set = Self::reopen_whole(target)?;
        set.clear()?;
        Ok(set)
    }

    /// Goes on with the file that will be `target`, in one piece.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::reopen`].
    pub fn reopen_whole(target: &Path) -> io::Result<Self> {
        let target = target.to_owned();
        Self::reopen(u64::MAX, Box::new(move |_| target.clone()))
    }

    /// Begins a file in parts of `part_size` bytes.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`] for the first of them; `part_size` is 0.
    pub fn create(part_size: u64, name: NamePart) -> io::Result<Self> {
        let set = Self::reopen(part_size, name)?;
        set.clear()?;
        Ok(set)
    }

    /// Goes on with a file in parts of `part_size` bytes: what an earlier
    /// writer left is still in those that [`PartialSet::reserve`] takes,
    /// unless [`PartialSet::clear`] comes before it.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::reopen`] for the first of them; `part_size` is 0.
    pub fn reopen(part_size: u64, name: NamePart) -> io::Result<Self> {
        if part_size == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let shared = Shared {
            part_size,
            name,
            reopens: AtomicBool::new(true),
            keeps: AtomicBool::new(false),
            parts: RwLock::new(Some(Vec::new())),
        };
        let writer = PartialWriter {
            shared: Arc::new(shared),
        };
        writer.file(0)?;
        Ok(Self { writer })
    }

    /// A handle for another thread.
    pub fn writer(&self) -> PartialWriter {
        self.writer.clone()
    }

    /// Forgets what an earlier writer left.
    pub fn clear(&self) -> io::Result<()> {
        self.writer.shared.reopens.store(false, Ordering::SeqCst);
        let shared = &self.writer.shared;
        let parts = shared.read();
        parts
            .iter()
            .flatten()
            .try_for_each(|part| part.file().set_len(0))?;
        let begun = parts.as_ref().map_or(0, Vec::len);
        let mut behind = (begun..).map_while(|at| PartialFile::path_for(&(shared.name)(at)).ok());
        while shared.part_size < u64::MAX
            && behind
                .next()
                .is_some_and(|path| fs::remove_file(path).is_ok())
        {}
        Ok(())
    }

    /// Reserves exactly `size` bytes, so that a full disk is found now. Those
    /// that were not there are zeros, those behind are gone.
    pub fn reserve(&self, size: u64) -> io::Result<()> {
        let mut left = size;
        let mut at = 0;
        while left > 0 {
            self.writer.file(at)?;
            let now = left.min(self.writer.shared.part_size);
            let parts = self.writer.shared.read();
            let part = parts.as_ref().and_then(|parts| parts.get(at));
            part.map_or(Ok(()), |part| part.reserve(now))?;
            left -= now;
            at += 1;
        }
        self.writer.shared.reopens.store(false, Ordering::SeqCst);
        // Less than was reserved before may need fewer parts.
        if let Some(parts) = self.writer.shared.write().as_mut() {
            parts.truncate(at.max(1));
        }
        Ok(())
    }

    /// Writes bytes to their place, into as many parts as it takes.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.writer.write_all_at(bytes, offset)
    }

    /// What is written so far, as one file.
    pub fn span(&self) -> io::Result<SpanFile> {
        let files = self.files()?;
        SpanFile::new(files)
    }

    /// The open parts with their bytes.
    pub fn files(&self) -> io::Result<Vec<(Arc<fs::File>, u64)>> {
        self.writer
            .shared
            .read()
            .iter()
            .flatten()
            .map(|part| Ok((Arc::clone(part.file()), part.file().metadata()?.len())))
            .collect()
    }

    /// Gives every part its name, or none of them; from then on they survive
    /// a power cut.
    pub fn finish(self) -> io::Result<Vec<PathBuf>> {
        let shared = &self.writer.shared;
        let parts = shared.write().take();
        let mut named = Vec::new();
        for (at, part) in parts.into_iter().flatten().enumerate() {
            if let Err(error) = part.finish() {
                for path in &named {
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
            named.push((shared.name)(at));
        }
        Ok(named)
    }
}

impl Drop for PartialSet {
    fn drop(&mut self) {
        let parts = self.writer.shared.write().take();
        if self.writer.keeps() {
            parts.into_iter().flatten().for_each(PartialFile::keep);
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Option<Vec<PartialFile>>> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Vec<PartialFile>>> {
        self.parts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialWriter {
    /// Writes bytes to their place, into as many parts as it takes.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (file, inside, now) = self.piece(bytes.len(), offset)?;
            file.write_all_at(&bytes[..now], inside)?;
            bytes = &bytes[now..];
            offset += now as u64;
        }
        Ok(())
    }

    /// Reads bytes back, out of as many parts as it takes.
    pub fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (file, inside, now) = self.piece(bytes.len(), offset)?;
            let (first, rest) = bytes.split_at_mut(now);
            file.read_exact_at(first, inside)?;
            bytes = rest;
            offset += now as u64;
        }
        Ok(())
    }

    /// Has the disk begin with `len` bytes that were written at `offset`, so
    /// that little is left to wait for in the end. No more than a wish: only
    /// [`PartialSet::finish`] says that they are there.
    pub fn start_sync(&self, mut offset: u64, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let wanted = usize::try_from(len).unwrap_or(usize::MAX);
            let (file, inside, now) = self.piece(wanted, offset)?;
            let now = now as u64;
            // Linux begins to write what it is to forget, and keeps in memory
            // what is not written yet.
            let bytes = NonZeroU64::new(now);
            let _ = rustix::fs::fadvise(file.file(), inside, bytes, Advice::DontNeed);
            len -= now;
            offset += now;
        }
        Ok(())
    }

    /// Where bytes are: the part, the offset in it, and how many of them.
    fn piece(&self, len: usize, offset: u64) -> io::Result<(Arc<fs::File>, u64, usize)> {
        let part_size = self.shared.part_size;
        let at = usize::try_from(offset / part_size)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let inside = offset % part_size;
        let room = part_size - inside;
        let now = usize::try_from(room).map_or(len, |room| room.min(len));
        Ok((self.file(at)?, inside, now))
    }

    /// Whether the set, when it is dropped, leaves what there is of it.
    pub fn keep(&self, keep: bool) {
        self.shared.keeps.store(keep, Ordering::SeqCst);
    }

    /// See [`PartialWriter::keep`].
    pub fn keeps(&self) -> bool {
        self.shared.keeps.load(Ordering::SeqCst)
    }

    /// The part of this number, which is begun if it was not yet.
    fn file(&self, at: usize) -> io::Result<Arc<fs::File>> {
        let known = |parts: &Vec<PartialFile>| parts.get(at).map(|part| Arc::clone(part.file()));
        let found = self.shared.read().as_ref().and_then(known);
        if let Some(file) = found {
            return Ok(file);
        }
        let mut parts = self.shared.write();
        let gone = || io::Error::other("the file is given up");
        let parts = parts.as_mut().ok_or_else(gone)?;
        while parts.len() <= at {
            // Those before it are full in the end, by one thread or another.
            let target = (self.shared.name)(parts.len());
            parts.push(if self.shared.reopens.load(Ordering::SeqCst) {
                PartialFile::reopen(&target)?
            } else {
                PartialFile::create(&target)?
            });
        }
        known(parts).ok_or_else(gone)
    }
}

#[cfg(test)]
mod tests;
