//! The file, or the parts, that a bundle is written into.

use std::collections::BTreeMap;

use super::{CreateError, Options};
use crate::bundle::layout::Signed;
use crate::bundle::open::{OpenError, UntrustedBundle};
use crate::bundle::parts::{self, PartWriter, SplitOptions};
use crate::bundle::receipt::Receipt;
use crate::bundle::workers::run_blocking;
use crate::host::trust::TrustStore;
use crate::oci::archive::Archive;
use crate::oci::digest::Digest;
use crate::report::event::Reporter;
use crate::sign::{SecretKey, TrustedKey};
use crate::sys::partial::PartialFile;
use crate::sys::partial_set::PartialSet;

/// What is to be written beside the layers, and what is known of those.
pub(super) struct Written<'a> {
    pub(super) signed: &'a Signed,
    /// CRC-32 of each layer, taken when its digest was.
    pub(super) sums: BTreeMap<Digest, u32>,
    pub(super) key: TrustedKey,
}

/// Where the bytes go.
pub(super) enum Output {
    Whole(PartialSet),
    Parts(PartWriter),
}

/// How the bundle is cut, if it is.
pub(super) fn split_options(options: &Options) -> Option<SplitOptions> {
    options.split.map(|part_size| SplitOptions {
        target: options.output.clone(),
        part_size,
    })
}

impl Output {
    pub(super) fn reopen(options: &Options, size: u64) -> Result<Self, CreateError> {
        Ok(match split_options(options) {
            None => {
                let set = PartialSet::reopen_whole(&options.output);
                Self::Whole(set.map_err(CreateError::Write)?)
            }
            Some(split) => Self::Parts(PartWriter::reopen(split, size)?),
        })
    }

    /// Removes what a run left that was to write the other form: parts or one
    /// file. It may have taken the room for all of it.
    pub(super) fn discard_other(&self, options: &Options) -> Result<(), CreateError> {
        let discarded = match self {
            Self::Whole(_) => parts::discard(&options.output),
            Self::Parts(_) => PartialFile::discard(&options.output),
        };
        discarded.map_err(CreateError::Write)
    }

    /// Takes room for `size` bytes, so that it is known now whether they fit.
    pub(super) fn reserve(&self, size: u64) -> Result<(), CreateError> {
        if let Self::Parts(parts) = self {
            parts.options().check(size)?;
        }
        self.set().reserve(size).map_err(CreateError::Write)
    }

    pub(super) fn set(&self) -> &PartialSet {
        match self {
            Self::Whole(set) => set,
            Self::Parts(parts) => parts.set(),
        }
    }

    /// Writes the documents, opens the file as any reader would and checks
    /// every byte: what was not hashed on its way is hashed, and the layers
    /// are still the ones that were.
    pub(super) async fn write_and_check(
        &self,
        written: Written<'_>,
        options: &Options,
        reporter: &dyn Reporter,
    ) -> Result<Checked, CreateError> {
        let Written { signed, sums, key } = written;
        signed.write(self.set()).map_err(CreateError::Write)?;
        let file = self.set().span().map_err(CreateError::Write)?;
        let archive = Archive::over(file, &options.output);
        let files = self.set().files().map_err(CreateError::Write)?;
        let is_split = options.split.is_some();
        run_blocking(reporter, move |reporter| {
            // The disk writes while this reads.
            let receipt = std::thread::scope(|scope| {
                let syncing =
                    scope.spawn(|| files.iter().try_for_each(|(file, _)| file.sync_all()));
                let receipt = verify(archive, key, &sums, reporter).map_err(CreateError::Verify)?;
                match syncing.join() {
                    Ok(synced) => synced.map_err(CreateError::Write)?,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
                Ok::<_, CreateError>(receipt)
            })?;
            let digests = is_split.then(|| parts::digests(files, reporter));
            let parts = digests.transpose()?.unwrap_or_default();
            Ok(Checked { receipt, parts })
        })
        .await?
    }

    /// Gives what was checked its name.
    pub(super) fn finish(
        self,
        checked: Checked,
        comment: &str,
        key: &SecretKey,
    ) -> Result<Receipt, CreateError> {
        let Checked { mut receipt, parts } = checked;
        match self {
            Self::Whole(set) => {
                set.finish().map_err(CreateError::Write)?;
            }
            Self::Parts(writer) => {
                receipt.file = writer.finish(parts, receipt.index, comment, key)?;
            }
        }
        Ok(receipt)
    }
}

/// A bundle that has everything but its name.
pub(super) struct Checked {
    receipt: Receipt,
    /// Digests of the parts; none for a bundle in one piece.
    parts: Vec<Digest>,
}

fn verify(
    archive: Archive,
    key: TrustedKey,
    sums: &BTreeMap<Digest, u32>,
    reporter: &dyn Reporter,
) -> Result<Receipt, OpenError> {
    UntrustedBundle::over(archive)?
        .verify(&TrustStore::of([key]))?
        .verify_written(sums, reporter)
}
