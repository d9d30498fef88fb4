//! Files that are put into a container before it starts.

use super::error::RenderError;
use crate::stack::secret::Secret;

/// A file for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Absolute path in the container.
    pub path: String,
    /// What is in it; may hold secrets.
    pub content: Secret,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

impl RenderedFile {
    /// The same without content.
    pub(super) fn blank(&self) -> Self {
        Self {
            content: Secret::new(""),
            ..self.clone()
        }
    }
}

/// A tar of the files, relative to `/`. Directories are not listed, so that
/// those of the image keep their owners and modes.
///
/// # Errors
///
/// [`RenderError::Tar`] for a path that a tar cannot hold.
pub fn files_tar(files: &[RenderedFile]) -> Result<Vec<u8>, RenderError> {
    let mut archive = tar::Builder::new(Vec::new());
    let failed = |path: &str, error: std::io::Error| RenderError::Tar {
        path: path.to_owned(),
        source: error,
    };
    for file in files {
        let content = file.content.expose().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(0);
        archive
            .append_data(&mut header, file.path.trim_start_matches('/'), content)
            .map_err(|error| failed(&file.path, error))?;
    }
    archive.into_inner().map_err(|error| failed("/", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_tar_holds_the_files_and_no_directories() {
        let long = format!("/etc/{}/x.conf", "d".repeat(150));
        let files = [
            RenderedFile {
                path: "/etc/a.conf".to_owned(),
                content: Secret::new("one"),
                mode: 0o400,
                uid: 101,
                gid: 102,
            },
            RenderedFile {
                path: long.clone(),
                content: Secret::new(""),
                mode: 0o644,
                uid: 0,
                gid: 0,
            },
        ];
        let bytes = files_tar(&files).unwrap();
        assert_eq!(bytes, files_tar(&files).unwrap(), "not reproducible");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert!(entry.header().entry_type().is_file());
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            seen.push((
                entry.path().unwrap().display().to_string(),
                content,
                entry.header().mode().unwrap(),
                entry.header().uid().unwrap(),
                entry.header().gid().unwrap(),
            ));
        }
        assert_eq!(
            seen,
            [
                ("etc/a.conf".to_owned(), "one".to_owned(), 0o400, 101, 102),
                (long[1..].to_owned(), String::new(), 0o644, 0, 0),
            ]
        );
    }
}
