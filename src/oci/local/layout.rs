//! An OCI image layout in a directory, as `skopeo copy … oci:DIR:NAME`,
//! `umoci` and an unpacked bundle have it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use super::{DOCUMENT_LIMIT, LocalError, Wanted, find};
use crate::oci::archive::{INDEX_NAME, LAYOUT_NAME, blob_name};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::oci::index::{self, Index};

/// A layout whose index was read.
#[derive(Debug)]
pub struct LayoutDir {
    dir: PathBuf,
    index: Index,
}

impl LayoutDir {
    /// Reads the index of a layout.
    pub fn open(dir: &Path) -> Result<Self, LocalError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Marker {
            image_layout_version: String,
        }
        let no_layout = |problem: String| LocalError::NotALayout {
            path: dir.to_owned(),
            problem,
        };
        let marker = read(&dir.join(LAYOUT_NAME))?
            .ok_or_else(|| no_layout(format!("it has no `{LAYOUT_NAME}`")))?;
        let marker: Marker =
            serde_json::from_slice(&marker).map_err(|error| no_layout(error.to_string()))?;
        if !marker.image_layout_version.starts_with("1.") {
            let version = marker.image_layout_version;
            return Err(no_layout(format!("its version is {version}, not 1.0.0")));
        }
        let bytes = read(&dir.join(INDEX_NAME))?
            .ok_or_else(|| no_layout(format!("it has no `{INDEX_NAME}`")))?;
        let index = index::parse(&bytes)
            .map_err(|error| no_layout(error.to_string()))?
            .ok_or_else(|| no_layout(format!("its `{INDEX_NAME}` is not an index")))?;
        Ok(Self {
            dir: dir.to_owned(),
            index,
        })
    }

    /// The image of a name, if all of its layers are there as well.
    pub fn image(&self, wanted: &Wanted<'_>) -> Result<Image, LocalError> {
        let image = find(&self.index, wanted, &|digest| read(&self.path(digest)))?;
        for layer in &image.layers {
            let path = self.path(layer.digest);
            match fs::metadata(&path) {
                Ok(found) if found.is_file() && found.len() == layer.size => {}
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(unreadable(&path, source));
                }
                _ => return Err(wanted.no_blob(layer.digest)),
            }
        }
        Ok(image)
    }

    /// Where a blob lies.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(blob_name(&digest))
    }
}

fn unreadable(path: &Path, source: io::Error) -> LocalError {
    LocalError::Io {
        what: format!("`{}`", path.display()),
        source,
    }
}

/// A document, or `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, LocalError> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| unreadable(path, source))?,
    };
    let mut bytes = Vec::new();
    file.take(DOCUMENT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, source))?;
    let size = bytes.len() as u64;
    if size > DOCUMENT_LIMIT {
        return Err(LocalError::TooLarge {
            what: format!("`{}`", path.display()),
            size,
        });
    }
    Ok(Some(bytes))
}
