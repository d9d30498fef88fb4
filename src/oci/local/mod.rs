//! Images that are on this machine already: in an OCI image layout, or in the
//! tar that a container engine saves them to.
//!
//! Nothing is believed: whoever takes a blob hashes it, and documents are
//! hashed here. Documents are bounded in size, layers are never held.

mod layout;
mod saved;

use std::io;
use std::path::PathBuf;

use oci_spec::image::ImageIndex;

pub use layout::LayoutDir;
pub use saved::Saved;

use super::digest::Digest;
use super::image::{Image, ImageError, config_of};
use super::index;

/// Bytes of the largest index, manifest or config that is accepted.
const DOCUMENT_LIMIT: u64 = 8 << 20;

/// Why an image cannot be taken from where it is said to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A directory that holds something else.
    #[error("`{}` is no OCI image layout: {problem}", path.display())]
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
    #[error("`{name}` is not there for {platform}; it is for {}", offered.join(", "))]
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
        /// Why.
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
    /// Two documents are no image that can be bundled.
    #[error("image `{name}` cannot be used")]
    Image {
        /// The image.
        name: String,
        /// Why.
        #[source]
        source: ImageError,
    },
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

/// Finds an image below the index of a layout, out of an index of platforms
/// where need be.
fn find(
    root: &ImageIndex,
    wanted: &Wanted<'_>,
    documents: &Documents<'_>,
) -> Result<Image, LocalError> {
    let named = index::named(root, wanted.name);
    if named.manifests().is_empty() {
        return Err(LocalError::Absent {
            name: wanted.name.to_owned(),
            there: index::all_names(root),
        });
    }
    let mut offered = index::platforms(&named);
    // Without a platform it may be for any: its config tells.
    let open = named
        .manifests()
        .iter()
        .find(|entry| entry.platform().is_none());
    let direct = index::pick(&named, wanted.os, wanted.architecture).or(open);
    if let Some(entry) = direct {
        let outer = digest_of(entry, wanted)?;
        let bytes = document(outer, wanted, documents)?;
        let Some(inner) = read_index(&bytes, wanted)? else {
            return wanted.check(image(bytes, wanted, documents)?, None);
        };
        if let Some(entry) = index::pick(&inner, wanted.os, wanted.architecture) {
            let bytes = document(digest_of(entry, wanted)?, wanted, documents)?;
            return wanted.check(image(bytes, wanted, documents)?, Some(outer));
        }
        offered.extend(index::platforms(&inner));
    }
    Err(LocalError::Platform {
        name: wanted.name.to_owned(),
        platform: format!("{}/{}", wanted.os, wanted.architecture),
        offered,
    })
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

fn digest_of(
    entry: &oci_spec::image::Descriptor,
    wanted: &Wanted<'_>,
) -> Result<Digest, LocalError> {
    let digest = entry.digest().to_string().parse();
    digest.map_err(|source| wanted.unusable(ImageError::Digest(source)))
}

fn read_index(bytes: &[u8], wanted: &Wanted<'_>) -> Result<Option<ImageIndex>, LocalError> {
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
