//! Images that are on this machine already: in an OCI image layout, or in the
//! tar that a container engine saves them to.
//!
//! Nothing is believed: the caller hashes each blob, and documents are
//! hashed here. Documents are bounded in size, layers are never held.

mod layout;
mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

pub use layout::LayoutDir;
pub use saved::Saved;

use super::digest::Digest;
use super::image::{Image, ImageError, config_of};
use super::index::{self, Fit, Index, Search};

/// Bytes of the largest index, manifest or config that is accepted.
const DOCUMENT_LIMIT: u64 = 8 << 20;

/// Why an image cannot be taken from where it is said to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A directory that holds something else.
    #[error("`{}` is not an OCI image layout: {problem}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file or the engine's tar cannot be read.
    #[error("cannot read {what}")]
    Io {
        /// What was read.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The image is not there.
    #[error("`{name}` is not there; {}", listed(.there))]
    Absent {
        /// The image.
        name: String,
        /// What is there instead.
        there: Vec<String>,
    },
    /// The image is there for other platforms only.
    #[error(
        "`{name}` is not there for {platform}; it is for {}",
        platforms(offered)
    )]
    Platform {
        /// The image.
        name: String,
        /// The wanted platform.
        platform: String,
        /// Platforms it is there for.
        offered: Vec<String>,
    },
    /// A document that cannot be read.
    #[error("{what} cannot be read")]
    Document {
        /// The document.
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// A document that is larger than any honest one.
    #[error("{what} has {size} bytes, more than {DOCUMENT_LIMIT}")]
    TooLarge {
        /// The document.
        what: String,
        /// Its bytes.
        size: u64,
    },
    /// A blob that an image needs and that is not there.
    #[error("blob {digest} of `{name}` is not there")]
    NoBlob {
        /// The blob.
        digest: Digest,
        /// The image.
        name: String,
    },
    /// A blob has other content than its name says.
    #[error("blob {wanted} has other content: its digest is {found}")]
    Content {
        /// What it should be.
        wanted: Digest,
        /// What it is.
        found: Digest,
    },
    /// Another image than the one that was pinned.
    #[error("`{name}` is pinned to {pinned}; the one that is there is {found}")]
    Pinned {
        /// The image.
        name: String,
        /// The digest it should have.
        pinned: Digest,
        /// The digest of its manifest.
        found: Digest,
    },
    /// Several images have the name.
    #[error("`{name}` names {} images there: {}", found.len(), each(found))]
    Ambiguous {
        /// The image.
        name: String,
        /// Digests of their manifests.
        found: Vec<Digest>,
    },
    /// Two documents are no image that can be bundled.
    #[error("image `{name}` cannot be used")]
    Image {
        /// The image.
        name: String,
        #[source]
        source: ImageError,
    },
}

fn platforms(offered: &[String]) -> String {
    match offered {
        [] => "no platform that it names".to_owned(),
        offered => offered.join(", "),
    }
}

fn each(digests: &[Digest]) -> String {
    let digests: Vec<_> = digests.iter().map(ToString::to_string).collect();
    digests.join(" and ")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no image has a name there".to_owned(),
        names => format!("there are {}", names.join(", ")),
    }
}

/// Which image, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Complete, with its tag: `docker.io/library/redis:7.2.11`.
    pub name: &'a str,
    /// Such as `linux`.
    pub os: &'a str,
    /// Such as `amd64`.
    pub architecture: &'a str,
    /// Digest of its manifest, or of the index that names it.
    pub pinned: Option<Digest>,
}

impl Wanted<'_> {
    fn unusable(&self, source: ImageError) -> LocalError {
        LocalError::Image {
            name: self.name.to_owned(),
            source,
        }
    }

    /// Whether one of these digests is the one that was asked for.
    fn check(&self, image: Image, index: Option<Digest>) -> Result<Image, LocalError> {
        let found = Digest::of(&image.manifest);
        match self.pinned {
            Some(pinned) if pinned != found && index != Some(pinned) => Err(LocalError::Pinned {
                name: self.name.to_owned(),
                pinned,
                found,
            }),
            _ => Ok(image),
        }
    }

    fn no_blob(&self, digest: Digest) -> LocalError {
        LocalError::NoBlob {
            digest,
            name: self.name.to_owned(),
        }
    }
}

/// Small blobs by their digest; `None` for one that is not there.
type Documents<'a> = dyn Fn(Digest) -> Result<Option<Vec<u8>>, LocalError> + 'a;

/// An image that was found, and how.
struct Found {
    fit: Fit,
    /// Digest of the document that the index of the layout names.
    outer: Digest,
    image: Image,
}

impl Found {
    fn digest(&self) -> Digest {
        Digest::of(&self.image.manifest)
    }
}

/// Finds an image below the index of a layout, however many indexes lie on
/// the way. Which of two images of one name is meant is not guessed.
fn find(root: &Index, wanted: &Wanted<'_>, documents: &Documents<'_>) -> Result<Image, LocalError> {
    let named = index::named(root, wanted.name);
    if named.is_empty() {
        return Err(LocalError::Absent {
            name: wanted.name.to_owned(),
            there: index::all_names(root),
        });
    }
    let (mut found, mut failed) = (BTreeMap::new(), None);
    let mut offered = BTreeSet::new();
    for entry in named {
        let mut search = Search::new(wanted.os, wanted.architecture);
        search.consider(std::iter::once(entry), 0);
        match below(&mut search, wanted, documents) {
            Ok(Some(one)) => {
                found.insert(one.digest(), one);
            }
            Ok(None) => {}
            // It may be below another entry of its name.
            Err(error) => failed = failed.or(Some(error)),
        }
        offered.extend(search.offered());
    }
    let is_pinned = |one: &Found| {
        let pinned = wanted.pinned.as_ref();
        pinned.is_some_and(|pinned| [one.outer, one.digest()].contains(pinned))
    };
    if found.values().any(is_pinned) {
        found.retain(|_, one| is_pinned(one));
    }
    let is_common = |one: &Found| one.fit != Fit::Variant;
    if found.values().any(is_common) {
        found.retain(|_, one| is_common(one));
    }
    if found.len() > 1 {
        return Err(LocalError::Ambiguous {
            name: wanted.name.to_owned(),
            found: found.into_keys().collect(),
        });
    }
    match found.into_values().next() {
        Some(one) => wanted.check(one.image, Some(one.outer)),
        None => Err(failed.unwrap_or_else(|| LocalError::Platform {
            name: wanted.name.to_owned(),
            platform: format!("{}/{}", wanted.os, wanted.architecture),
            offered: offered.into_iter().collect(),
        })),
    }
}

/// The first image of the platform that a search comes to.
fn below(
    search: &mut Search<'_>,
    wanted: &Wanted<'_>,
    documents: &Documents<'_>,
) -> Result<Option<Found>, LocalError> {
    let (mut outer, mut odd) = (None, None);
    while let Some(candidate) = search.step() {
        let digest = candidate.digest.parse();
        let digest = digest.map_err(|source| wanted.unusable(ImageError::Digest(source)))?;
        let outer = *outer.get_or_insert(digest);
        let read = document(digest, wanted, documents)
            .and_then(|bytes| Ok((read_index(&bytes, wanted)?, bytes)))
            .and_then(|(index, bytes)| match index {
                Some(index) => {
                    search.enter(&index, Some(&candidate));
                    Ok(None)
                }
                None => image(bytes, wanted, documents).map(Some),
            });
        match read {
            Ok(None) => {}
            Ok(Some(image)) => {
                if search.accepts(&candidate, &image.os, &image.architecture) {
                    let fit = candidate.fit;
                    return Ok(Some(Found { fit, outer, image }));
                }
            }
            // What does not say what it is may be anything.
            Err(
                error @ (LocalError::NoBlob { .. }
                | LocalError::Image {
                    source: ImageError::NotAnImage(_),
                    ..
                }),
            ) if candidate.fit == Fit::Unsaid => odd = odd.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    odd.map_or(Ok(None), Err)
}

fn image(
    manifest: Vec<u8>,
    wanted: &Wanted<'_>,
    documents: &Documents<'_>,
) -> Result<Image, LocalError> {
    let (config, _) = config_of(&manifest).map_err(|source| wanted.unusable(source))?;
    let config = document(config, wanted, documents)?;
    Image::parse(manifest, config).map_err(|source| wanted.unusable(source))
}

fn read_index(bytes: &[u8], wanted: &Wanted<'_>) -> Result<Option<Index>, LocalError> {
    index::parse(bytes).map_err(|source| LocalError::Document {
        what: format!("manifest of `{}`", wanted.name),
        source,
    })
}

fn document(
    digest: Digest,
    wanted: &Wanted<'_>,
    documents: &Documents<'_>,
) -> Result<Vec<u8>, LocalError> {
    let bytes = documents(digest)?.ok_or_else(|| wanted.no_blob(digest))?;
    let found = Digest::of(&bytes);
    if found == digest {
        Ok(bytes)
    } else {
        Err(LocalError::Content {
            wanted: digest,
            found,
        })
    }
}
