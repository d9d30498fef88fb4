//! Cutting a bundle into parts.
//!
//! Invariant: the list is written last. Without it the parts are nothing.

use std::path::PathBuf;

use fs_err as fs;

use super::{FORMAT, MOST, PartError, PartList, hash, list_path, part_name, signature_path};
use crate::bundle::Bundle;
use crate::bundle::workers::{self, CHUNK};
use crate::oci::digest::Digest;
use crate::report::event::{Outcome, Reporter, Step, Unit};
use crate::sign::SecretKey;
use crate::sys::fs::write_atomically;
use crate::sys::partial_set::PartialSet;

/// What a bundle is cut into, and how it is called in one piece.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Where the bundle would be in one piece.
    pub target: PathBuf,
    /// Bytes of every part but the last.
    pub part_size: u64,
}

/// A set of parts in the making.
#[derive(Debug)]
pub struct PartWriter {
    cut: Cut,
    set: PartialSet,
}

impl PartWriter {
    /// Begins the parts of a bundle of at least `size` bytes. A list that
    /// lies there goes: it is about the parts that are replaced.
    pub fn create(cut: Cut, size: u64) -> Result<Self, PartError> {
        let count = size.div_ceil(cut.part_size.max(1));
        if count > MOST {
            return Err(PartError::TooMany(count));
        }
        let list = list_path(&cut.target);
        for path in [&list, &signature_path(&list)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let target = cut.target.clone();
        let name = Box::new(move |at| {
            let name = target.file_name().unwrap_or_default().to_string_lossy();
            target.with_file_name(part_name(&name, at))
        });
        let set = PartialSet::create(cut.part_size, name)?;
        Ok(Self { cut, set })
    }

    /// Where the bytes go.
    pub fn set(&self) -> &PartialSet {
        &self.set
    }

    /// Hashes the parts, gives them their names, and writes the signed list.
    /// Returns where the list is.
    pub fn finish(
        self,
        index: Digest,
        comment: &str,
        key: &SecretKey,
        reporter: &dyn Reporter,
    ) -> Result<PathBuf, PartError> {
        let files = self.set.files()?;
        let size = files.iter().map(|(_, size)| size).sum();
        if files.len() as u64 > MOST {
            return Err(PartError::TooMany(files.len() as u64));
        }
        let step = Step::sized(
            reporter,
            "hash-parts",
            "Listing parts",
            Some(size),
            Unit::Bytes,
        );
        let items: Vec<_> = files.into_iter().enumerate().rev().collect();
        let mut parts = workers::run(items, &step, |(at, (file, size)), watch| {
            hash(&file, size, watch).map(|digest| (at, digest))
        })?;
        parts.sort_unstable();
        step.finish(Outcome::Done, Some(format!("{} parts", parts.len())));
        let name = self.cut.target.file_name().unwrap_or_default();
        let list = PartList {
            format: FORMAT,
            name: name.to_string_lossy().into_owned(),
            index,
            size,
            part_size: self.cut.part_size,
            parts: parts.into_iter().map(|(_, digest)| digest).collect(),
        };
        let mut bytes = serde_json::to_vec(&list).map_err(std::io::Error::from)?;
        bytes.push(b'\n');
        let path = list_path(&self.cut.target);
        let comment = format!("{comment} parts={}", list.parts.len());
        let signature = key.sign(&bytes, &comment).map_err(PartError::Sign)?;
        self.set.finish()?;
        write_atomically(&signature_path(&path), signature.as_bytes(), 0o644)?;
        write_atomically(&path, &bytes, 0o644)?;
        Ok(path)
    }
}

/// Cuts a bundle, which must have been verified, into parts.
pub fn split(
    bundle: &Bundle,
    cut: Cut,
    key: &SecretKey,
    reporter: &dyn Reporter,
) -> Result<PathBuf, PartError> {
    let size = bundle.size();
    let writer = PartWriter::create(cut, size)?;
    writer.set().reserve(size)?;
    let step = Step::sized(reporter, "split", "Cutting", Some(size), Unit::Bytes);
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size {
        let want = usize::try_from(size - offset).map_or(CHUNK, |left| left.min(CHUNK));
        bundle.read_raw(&mut buffer[..want], offset)?;
        writer.set().write_all_at(&buffer[..want], offset)?;
        offset += want as u64;
        step.progress(offset);
    }
    step.finish(Outcome::Done, None);
    let comment = crate::bundle::documents::trusted_comment(bundle.manifest());
    writer.finish(bundle.digest(), &comment, key, reporter)
}
