//! Why parts are not a bundle.

use std::io;
use std::path::PathBuf;

use super::MOST;
use crate::bundle::OpenError;
use crate::oci::archive::ArchiveError;
use crate::oci::digest::Digest;
use crate::sign::SignError;

/// Why parts are not a bundle, or why a bundle cannot be cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The list is nowhere.
    #[error("part list `{name}` is missing; looked in {}", show(.dirs))]
    NoList {
        /// Its file name.
        name: String,
        /// Where it was looked for.
        dirs: Vec<PathBuf>,
    },
    /// The list cannot be read as one.
    #[error("part list `{}` makes no sense: {problem}", .path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The list is of a later format.
    #[error("part list `{}` has format {found}; this lfctl reads {}", .path.display(), super::FORMAT)]
    NewerFormat {
        /// The list.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is no signature.
    #[error(
        "part list `{}` is not signed: `{}` is not there",
        .path.display(),
        super::signature_path(path).display()
    )]
    Unsigned {
        /// The list.
        path: PathBuf,
    },
    /// The list is not one that a trusted key signed.
    #[error("part list `{}` is not to be trusted", .path.display())]
    Untrusted {
        /// The list.
        path: PathBuf,
        #[source]
        source: SignError,
    },
    /// Parts are nowhere.
    #[error("{}; looked in {}", missing(.names), show(.dirs))]
    Missing {
        /// The parts.
        names: Vec<String>,
        /// Where they were looked for.
        dirs: Vec<PathBuf>,
    },
    /// A part has another size.
    #[error(
        "part `{}` has {found} bytes, {wanted} were signed: {}",
        .path.display(),
        if found < wanted { "the copy is not whole" } else { "it is another file" }
    )]
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
        path: PathBuf,
        /// The part that it is.
        is: String,
    },
    /// A part belongs to another bundle whose list is known.
    #[error(
        "`{}` holds `{is}` of another bundle, the one of `{}`: two sets were mixed",
        .path.display(),
        .of.display()
    )]
    Mixed {
        path: PathBuf,
        /// The part that it is.
        is: String,
        /// The list that names it.
        of: PathBuf,
    },
    /// A part has content that no known list names.
    #[error(
        "part `{}` has other content than was signed, digest {found}: it is damaged, or of \
         another bundle",
        .path.display()
    )]
    Content {
        path: PathBuf,
        /// What was read.
        found: Digest,
    },
    /// A part cannot be read to its end.
    #[error("part `{}` cannot be read", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Several parts are wrong, each in its way.
    #[error("{} parts are missing or damaged", .0.len())]
    Several(Vec<PartError>),
    /// The parts are right, but the bundle in them is not the listed one.
    #[error("parts are of bundle {found}, the list is of bundle {listed}")]
    OtherBundle {
        /// The bundle in the list.
        listed: Digest,
        /// The bundle in the parts.
        found: Digest,
    },
    /// The list was signed as something else.
    #[error(
        "part list `{}` was signed as `{found}`, the bundle in the parts is `{expected}`",
        .path.display()
    )]
    Comment {
        /// The list.
        path: PathBuf,
        /// The trusted comment of its signature.
        found: String,
        /// That of the bundle.
        expected: String,
    },
    /// More parts than a list may have.
    #[error("{0} parts are too many; choose a size that makes {MOST} at most")]
    TooMany(u64),
    /// No list may hold the name of the bundle.
    #[error("{0}")]
    Name(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A list cannot be opened.
    #[error(transparent)]
    Open(#[from] ArchiveError),
    /// What was written does not verify.
    #[error("bundle did not verify after it was cut")]
    Verify(#[from] OpenError),
    /// The list cannot be signed.
    #[error("part list cannot be signed")]
    Sign(#[source] SignError),
}

impl PartError {
    /// One error for any number of them.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

fn show(dirs: &[PathBuf]) -> String {
    let dirs: Vec<_> = dirs
        .iter()
        .map(|dir| format!("`{}`", dir.display()))
        .collect();
    dirs.join(", ")
}

fn missing(names: &[String]) -> String {
    let listed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match listed.as_slice() {
        [one] => format!("part {one} is missing"),
        several => format!("parts {} are missing", several.join(", ")),
    }
}
