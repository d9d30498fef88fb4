//! Finding the parts of a list, and what is wrong with them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use super::{EXTENSION, PartError, PartList, directory, hash};
use crate::bundle::documents::trusted_comment;
use crate::bundle::open::Bundle;
use crate::bundle::workers::{self, Watch};
use crate::host::trust::TrustStore;
use crate::oci::archive::{Archive, ArchiveError, open_file};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, Step, StepStatus, Unit, notice};
use crate::sign::Signature;
use crate::sys::span::SpanFile;

/// The parts of a bundle, found and open.
pub struct Parts {
    list: PartList,
    list_path: PathBuf,
    dirs: Vec<PathBuf>,
    found: Vec<Found>,
}

/// A part that was found.
struct Found {
    path: PathBuf,
    file: Arc<fs::File>,
    /// Files of the same name and size in directories that come later.
    others: Vec<PathBuf>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("list", &self.list)
            .field("dirs", &self.dirs)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Looks for every part beside the list and then in `more`, in this order,
    /// and opens it.
    ///
    /// # Errors
    ///
    /// All parts that are missing everywhere or, where there are files of
    /// their names, have another size in all of them.
    pub fn find(list: PartList, list_path: &Path, more: &[PathBuf]) -> Result<Self, PartError> {
        let mut dirs = vec![directory(list_path)];
        for dir in more {
            if !dirs.contains(dir) {
                dirs.push(dir.clone());
            }
        }
        let (mut found, mut missing, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..list.parts.len() {
            match find_part(&list, at, &dirs) {
                Ok(Some(part)) => found.push(part),
                Ok(None) => missing.push(list.part_name(at)),
                Err(error) => wrong.push(error),
            }
        }
        if !missing.is_empty() {
            let dirs = dirs.clone();
            let names = missing;
            wrong.insert(0, PartError::Missing { names, dirs });
        }
        PartError::all(wrong)?;
        Ok(Self {
            list,
            list_path: list_path.to_owned(),
            dirs,
            found,
        })
    }

    /// Hashes every part, on all cores. One that is wrong is replaced by a
    /// right one of its name in another directory, if there is one. The lists
    /// that a key of `trusted` signed tell what a wrong part is instead.
    ///
    /// # Errors
    ///
    /// All parts whose content is not the signed one.
    pub fn check(
        &mut self,
        trusted: Option<&TrustStore>,
        reporter: &dyn Reporter,
    ) -> Result<(), PartError> {
        let step = Step::sized(
            reporter,
            "check-parts",
            "Checking parts",
            Some(self.list.size),
            Unit::Bytes,
        );
        let all = (0..self.found.len()).rev().collect();
        let this = &*self;
        // A part that is wrong does not end the work, so that a stick with
        // three bad files is copied again once and not three times.
        let results: Result<Vec<_>, PartError> =
            workers::run(all, &step, |at, watch| Ok((at, this.check_one(at, watch))));
        let mut results = results?;
        results.sort_by_key(|(at, _)| *at);
        let mut wrong = Vec::new();
        for (at, result) in results {
            match result {
                Ok(None) => {}
                Ok(Some(other)) => self.replace(at, other, reporter),
                Err(error) => wrong.push(self.explain(error, trusted)),
            }
        }
        PartError::all(wrong)?;
        let detail = format!("{} parts are right", self.found.len());
        step.finish(StepStatus::Done, Some(detail));
        Ok(())
    }

    /// Returns another file to read instead, if the first is wrong.
    fn check_one(
        &self,
        at: usize,
        watch: &Watch,
    ) -> Result<Option<(PathBuf, Arc<fs::File>)>, PartError> {
        let (Some(part), Some(wanted)) = (self.found.get(at), self.list.parts.get(at)) else {
            return Ok(None);
        };
        let size = self.list.part_bytes(at);
        let error = match hash(&part.file, size, watch) {
            Ok(digest) if digest == *wanted => return Ok(None),
            Ok(digest) => wrong_content(&self.list, part.path.clone(), digest),
            Err(source) => PartError::Unreadable {
                path: part.path.clone(),
                source,
            },
        };
        for path in &part.others {
            if let Ok((file, bytes)) = open_file(path)
                && bytes == size
                && hash(&file, size, watch).is_ok_and(|digest| digest == *wanted)
            {
                return Ok(Some((path.clone(), file)));
            }
        }
        Err(error)
    }

    fn replace(
        &mut self,
        at: usize,
        (path, file): (PathBuf, Arc<fs::File>),
        reporter: &dyn Reporter,
    ) {
        let Some(part) = self.found.get_mut(at) else {
            return;
        };
        let text = format!(
            "two copies of a part differ: `{}` is wrong, `{}` is right and read instead",
            part.path.display(),
            path.display()
        );
        notice(reporter, Level::Warning, "parts.copies-differ", text);
        part.path = path;
        part.file = file;
    }

    /// Looks whether a part of unknown content is in another list nearby.
    fn explain(&self, error: PartError, trusted: Option<&TrustStore>) -> PartError {
        let PartError::Content { path, found } = error else {
            return error;
        };
        let lists = self.dirs.iter().flat_map(|dir| lists_in(dir));
        for of in lists.filter(|list| *list != self.list_path) {
            let named = PartList::read(&of, trusted)
                .ok()
                .and_then(|(list, _)| list.named(&found));
            if let Some(is) = named {
                return PartError::Mixed { path, is, of };
            }
        }
        PartError::Content { path, found }
    }

    /// The bundle in the parts, under the name of their list.
    pub fn archive(&self) -> io::Result<Archive> {
        let files = self.found.iter().enumerate();
        let files = files.map(|(at, part)| (Arc::clone(&part.file), self.list.part_bytes(at)));
        Ok(Archive::over(SpanFile::new(files)?, &self.list_path))
    }

    /// Checks that the bundle in the parts is the listed one, and that the
    /// signature over the list says the same of it.
    pub fn belong_to(
        &self,
        bundle: &Bundle,
        signature: Option<&Signature>,
    ) -> Result<(), PartError> {
        let found = bundle.digest();
        let listed = self.list.index;
        if found != listed {
            return Err(PartError::OtherBundle { listed, found });
        }
        let expected = self.list.comment(&trusted_comment(bundle.manifest()));
        match signature.map(Signature::trusted_comment) {
            Some(found) if found != expected => Err(PartError::Comment {
                path: self.list_path.clone(),
                found: found.to_owned(),
                expected,
            }),
            _ => Ok(()),
        }
    }
}

fn lists_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut lists: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == EXTENSION))
        .collect();
    lists.sort();
    lists
}

/// The first file of the part's name that has its size, or `None` when there
/// is no file of this name.
fn find_part(list: &PartList, at: usize, dirs: &[PathBuf]) -> Result<Option<Found>, PartError> {
    let (name, wanted) = (list.part_name(at), list.part_bytes(at));
    let mut first: Option<Found> = None;
    let mut wrong = None;
    for path in dirs.iter().map(|dir| dir.join(&name)) {
        let error = match open_file(&path) {
            Ok((file, size)) if size == wanted => {
                match &mut first {
                    Some(part) => part.others.push(path),
                    None => {
                        first = Some(Found {
                            path,
                            file,
                            others: Vec::new(),
                        });
                    }
                }
                continue;
            }
            Ok((file, size)) => wrong_size(list, at, path, (&file, size)),
            Err(ArchiveError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(ArchiveError::Io(source)) => PartError::Unreadable { path, source },
            Err(error) => error.into(),
        };
        wrong.get_or_insert(error);
    }
    match (first, wrong) {
        (Some(part), _) => Ok(Some(part)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

/// The last part is shorter than the others, so that swapping it shows here.
fn wrong_size(
    list: &PartList,
    at: usize,
    path: PathBuf,
    (file, found): (&fs::File, u64),
) -> PartError {
    let is_size_of_another = (0..list.parts.len()).any(|other| list.part_bytes(other) == found);
    let named = is_size_of_another
        .then(|| hash(file, found, &Watch::default()).ok())
        .flatten()
        .and_then(|digest| list.named(&digest));
    match named {
        Some(is) => PartError::Swapped { path, is },
        None => PartError::Size {
            path,
            found,
            wanted: list.part_bytes(at),
        },
    }
}

fn wrong_content(list: &PartList, path: PathBuf, found: Digest) -> PartError {
    match list.named(&found) {
        Some(is) => PartError::Swapped { path, is },
        None => PartError::Content { path, found },
    }
}
