//! Signatures beside a bundle, of those who did not make it.
//!
//! Those who looked at a release, such as the security team of the site that
//! takes it, signs the same `index.json` as its maker did. The bundle stays
//! as it is: `NAME.tar.KEYID.minisig` lies beside it, in minisign's format.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::documents::trusted_comment;
use super::open::Bundle;
use super::parts::directory;
use crate::host::trust::Countersignature;
use crate::oci::archive::{ArchiveError, open_file};
use crate::sign::{KeyId, SecretKey, SignError};

/// Bytes of the largest signature file.
const LIMIT: u64 = 16 << 10;
/// Signatures that are read.
const MOST: usize = 64;
const EXTENSION: &str = ".minisig";

/// Where the signature by `key` of the bundle `name` goes; a bundle in parts
/// has the name of its list without the extension.
pub fn path_beside(name: &Path, key: KeyId) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(format!(".{key}{EXTENSION}"));
    path.into()
}

/// The signatures beside the bundle `name` and in the directories `more`.
/// What is no file, or larger than a signature, is left out.
pub fn find(name: &Path, more: &[PathBuf]) -> io::Result<Vec<Countersignature>> {
    let Some(start) = name.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut dirs = vec![directory(name)];
    dirs.extend(more.iter().filter(|dir| **dir != directory(name)).cloned());
    let mut files = Vec::new();
    for dir in dirs {
        // The caller that needs the directory says that it cannot be read.
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if is_signature(&path, start) {
                files.push(path);
            }
        }
    }
    files.sort();
    files.truncate(MOST);
    let mut found = Vec::new();
    for file in files {
        let opened = match open_file(&file) {
            Ok((opened, size)) if size <= LIMIT => opened,
            Ok(_) | Err(ArchiveError::NotAFile(_)) => continue,
            Err(ArchiveError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        };
        let mut bytes = Vec::new();
        opened.file().take(LIMIT).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        found.push(Countersignature { file, text });
    }
    Ok(found)
}

fn is_signature(path: &Path, bundle: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix(bundle)?.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(EXTENSION))
        .is_some_and(|id| id.len() == 16 && id.parse::<KeyId>().is_ok())
}

impl Bundle {
    /// A signature of another holder over this bundle.
    pub fn countersign(&self, key: &SecretKey) -> Result<String, SignError> {
        key.sign(self.index(), &trusted_comment(self.manifest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_after_a_key_is_a_countersignature() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        let put = |path: &Path, name: &str, bytes: &[u8]| {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join(name), bytes).unwrap();
        };
        put(&here, "a.tar.0123456789ABCDEF.minisig", b"one");
        put(&here, "a.tar.parts.minisig", b"list");
        put(&here, "a.tar.minisig", b"none");
        put(&here, "b.tar.0123456789ABCDEF.minisig", b"other");
        put(&here, "a.tar.0000000000000001.minisig", &vec![b'x'; 20_000]);
        put(&there, "a.tar.FFFFFFFFFFFFFFFF.minisig", b"\xff");
        fs::create_dir(here.join("a.tar.0000000000000002.minisig")).unwrap();
        let more = [here.clone(), there, dir.path().join("nowhere")];
        let found = find(&here.join("a.tar"), &more).unwrap();
        let texts: Vec<_> = found.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["one", "\u{fffd}"]);
        let key = "0123456789ABCDEF".parse().unwrap();
        assert_eq!(path_beside(&here.join("a.tar"), key), found[0].file);
        assert!(find(Path::new("a.tar"), &[]).unwrap().is_empty());
    }
}
