//! What an error of making a bundle means to its maker.

use std::io;
use std::path::Path;

use super::from::OTHER_COPY;
use super::{Failure, Kind};
use crate::bundle::OpenError;
#[cfg(feature = "pull")]
use crate::bundle::create::CreateError;
use crate::bundle::lock::LockError;
#[cfg(feature = "pull")]
use crate::bundle::migrations::MigrationsError;
use crate::bundle::parts::PartError;
use crate::bundle::sbom::SbomError;
use crate::bundle::spec::SpecError;
use crate::oci::archive::ArchiveError;
#[cfg(feature = "pull")]
use crate::oci::local::LocalError;
use crate::sys::versioned::DocumentError;

impl Failure {
    /// A document that cannot be read and need not be saved: `how` makes it
    /// again.
    pub fn remade(error: DocumentError, how: &str) -> Self {
        match error {
            DocumentError::Damaged { .. } => Self::from_error(Kind::Config, &error).hint(how),
            _ => error.into(),
        }
    }

    /// A bundle spec that cannot work.
    pub fn spec(file: &Path, error: &SpecError) -> Self {
        let inner = Self::from_error(Kind::Config, error);
        let mut failure = Self::new(Kind::Config, format!("`{}` is not valid", file.display()));
        failure = failure.cause(inner.report().message.clone());
        for cause in &inner.report().causes {
            failure = failure.cause(cause.trim_end().to_owned());
        }
        failure
    }
}

#[cfg(feature = "pull")]
impl Failure {
    fn local(error: &CreateError, local: &LocalError) -> Self {
        match local {
            LocalError::Io { .. } => Self::from_error(Kind::LocalIo, error),
            LocalError::Content { .. } => Self::from_error(Kind::NotTrusted, error)
                .hint("copy the image there again, or leave out `--from` to pull it"),
            LocalError::Pinned { .. } => Self::from_error(Kind::NotTrusted, error).hint(
                "an engine that inflates layers keeps no digest of its registry: leave out \
                 `--from`, or take the digest out of the spec",
            ),
            LocalError::NoBlob { .. } | LocalError::Platform { .. } => {
                Self::from_error(Kind::Failed, error)
                    .hint("get the image there whole and for this platform, or leave out `--from`")
            }
            LocalError::NotALayout { .. } => Self::from_error(Kind::Failed, error)
                .hint("make one with `skopeo copy --preserve-digests docker://REFERENCE oci:DIR:REFERENCE`"),
            LocalError::Absent { name, .. } => Self::from_error(Kind::Failed, error).hint(format!(
                "put it there under its whole name: `skopeo copy --preserve-digests docker://{name} \
                 oci:DIR:{name}`"
            )),
            LocalError::Image { name, source } => Self::image(error, name, source),
            LocalError::Ambiguous { name, .. } => Self::from_error(Kind::Config, error).hint(
                format!(
                    "write the digest of the one you mean behind the reference in the spec, \
                     `{name}@sha256:...`, or copy it alone into a new layout"
                ),
            ),
            _ => Self::from_error(Kind::Failed, error),
        }
    }
}

/// A bundle that cannot be written; `option` makes parts of it.
fn unwritten(error: io::Error, option: &str) -> Failure {
    let is_too_large = error.kind() == io::ErrorKind::FileTooLarge;
    let failure = Failure::from(error);
    if is_too_large {
        failure.hint(format!(
            "no file of that size can be there, and on FAT32 none of 4 GiB; cut the bundle into \
             smaller parts: `{option}`"
        ))
    } else {
        failure
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        const ANEW: &str = "run the command without `--locked` to write a new lock";
        match error {
            LockError::Document(error) => Self::remade(error, ANEW),
            _ => Self::from_error(Kind::Config, &error).hint(ANEW),
        }
    }
}

impl From<PartError> for Failure {
    fn from(error: PartError) -> Self {
        const WHERE: &str = "mount the medium that holds it beside the others and name its \
                             directory with `--parts-in DIR`";
        const COPY: &str = "copy this file again from where the bundle was made";
        let of = |kind| Self::from_error(kind, &error);
        match error {
            PartError::Io(error) => unwritten(error, "--size 4G"),
            PartError::Open(ArchiveError::Io(error)) => error.into(),
            PartError::Verify(error) => own_output(error, "parts did not verify"),
            PartError::Untrusted { ref path, source } => Self::from(source).within(format!(
                "part list `{}` is not to be trusted",
                path.display()
            )),
            PartError::Several(errors) => several(errors),
            PartError::Missing { .. } | PartError::NoList { .. } => of(Kind::LocalIo).hint(WHERE),
            PartError::Unreadable { .. } => of(Kind::LocalIo)
                .hint("see that the medium can be read, or copy the part again from another"),
            PartError::Comment { .. } => of(Kind::NotTrusted).hint(OTHER_COPY),
            PartError::Unsigned { .. } => of(Kind::NotTrusted).hint(
                "copy the signature together with the list; if there is none, ask the publisher",
            ),
            PartError::NewerFormat { .. } => {
                of(Kind::Failed).hint("use the lfctl that came with the bundle, or a newer one")
            }
            PartError::TooMany(_) | PartError::Name(_) => of(Kind::Usage),
            PartError::Sign(_) => of(Kind::Failed),
            PartError::Swapped { .. } | PartError::Mixed { .. } => {
                of(Kind::NotTrusted).hint("give every part the name that it was made with")
            }
            _ => of(Kind::NotTrusted).hint(COPY),
        }
    }
}

/// What was just written does not read back. Nobody else has touched it.
fn own_output(error: OpenError, message: &str) -> Failure {
    let failure = Failure::from(error).within(message);
    if failure.kind() == Kind::LocalIo {
        return failure;
    }
    failure.only_hint("run the same command again; if it fails again, write to another disk")
}

/// Each with its message, all under one that counts them.
fn several(errors: Vec<PartError>) -> Failure {
    let message = format!("{} parts are missing or damaged", errors.len());
    let failures: Vec<_> = errors.into_iter().map(Failure::from).collect();
    // What is wrong weighs more than what is missing.
    let wrong = |failure: &&Failure| failure.kind() != Kind::LocalIo;
    let kind = failures
        .iter()
        .find(wrong)
        .map_or(Kind::LocalIo, Failure::kind);
    failures
        .iter()
        .fold(Failure::new(kind, message), |all, one| {
            let all = all.cause(one.report().message.clone());
            one.report().hints.iter().fold(all, |all, hint| {
                if all.report().hints.contains(hint) {
                    all
                } else {
                    all.hint(hint)
                }
            })
        })
}

impl From<SbomError> for Failure {
    fn from(error: SbomError) -> Self {
        match error {
            SbomError::Open(error) => error.into(),
            SbomError::Absent(_) => Self::from_error(Kind::Failed, &error)
                .hint("name the bundle that it builds on, or one made without `--base`"),
            _ => Self::from_error(Kind::Failed, &error),
        }
    }
}

#[cfg(feature = "pull")]
impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Write(error) | CreateError::Parts(PartError::Io(error)) => {
                unwritten(error, "--split 4G")
            }
            CreateError::Spec(_) => Self::from_error(Kind::Config, &error),
            CreateError::Image {
                ref reference,
                ref source,
            } => Self::image(&error, reference, source),
            CreateError::Platform(_) => Self::from_error(Kind::Usage, &error),
            CreateError::NewerLfctl(_) => {
                Self::from_error(Kind::Failed, &error).hint("make it with that lfctl")
            }
            CreateError::BasePlatform { .. } => Self::from_error(Kind::Config, &error)
                .hint("name a base of that platform, or choose another with `--platform`"),
            CreateError::LockPlatform { .. } | CreateError::NotLocked(_) => {
                Self::from_error(Kind::Config, &error)
                    .hint("run the command without `--locked` to write a new lock")
            }
            CreateError::Moved { .. } => Self::from_error(Kind::NotTrusted, &error).hint(
                "find out who moved the tag; if it is meant to be, run without `--locked` to \
                 write a new lock",
            ),
            CreateError::Mislabelled { ref image, .. } | CreateError::BadEnd { ref image, .. } => {
                Self::from_error(Kind::Config, &error).hint(format!(
                    "let Docker read it, which goes by the bytes: `docker pull {image}`, and bundle \
                     it from there with `--from docker`; or have it pushed again"
                ))
            }
            CreateError::TooLarge { ref image, .. } => Self::from_error(Kind::Config, &error).hint(
                format!(
                    "find the file that makes it so large, often `/var/log/lastlog` after a \
                     `useradd` with a large uid, and build `{image}` without it"
                ),
            ),
            CreateError::Layer { .. } => Self::from_error(Kind::NotTrusted, &error),
            CreateError::Verify(error) => {
                own_output(error, "bundle did not verify after it was written")
            }
            CreateError::Migrations { ref source, .. } => {
                Self::from_error(Kind::Config, &error).hint(of_migrations(source))
            }
            CreateError::Scan { .. } | CreateError::Bom(_) => {
                Self::from_error(Kind::Failed, &error).hint(
                    "find out what is in that image; `--no-sbom` makes the bundle without the list \
                     of packages",
                )
            }
            CreateError::Local(ref local) => Self::local(&error, local),
            CreateError::Engine(error) => error.into(),
            CreateError::NotInEngine {
                engine,
                ref reference,
            } => Self::from_error(Kind::Failed, &error)
                .hint(format!("get it there first: `{engine} pull {reference}`")),
            CreateError::Registry(ref registry) => Self::registry(&error, registry),
            CreateError::Parts(error) => error.into(),
            CreateError::Worker(_) => Self::from_error(Kind::Bug, &error),
            _ => Self::from_error(Kind::Failed, &error),
        }
    }
}

#[cfg(feature = "pull")]
fn of_migrations(error: &MigrationsError) -> &'static str {
    match error {
        MigrationsError::Mismatch { .. } => {
            "take `count` and `last` out of `[[stack.schemas]]`, and they come from the image; or \
             name the image that they belong to"
        }
        MigrationsError::Nowhere(_) => {
            "name `count` and `last` in `[[stack.schemas]]`, or in `[stack.migration]` the image \
             that holds the migrations"
        }
    }
}
