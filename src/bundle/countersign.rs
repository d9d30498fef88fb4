//! Signatures beside a bundle, of those who did not make it.
//!
//! Those who looked at a release, such as the security team of the site that
//! takes it, signs the same `index.json` as its maker did. The bundle stays
//! as it is: `NAME.tar.KEYID.minisig` lies beside it, in minisign's format.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::documents::trusted_comment;
use super::open::Bundle;
use super::parts::directory;
use crate::host::trust::{Countersignature, TrustStore};
use crate::sign::{KeyId, SecretKey, SignError};
use crate::sys::fs::read_bounded;

/// Bytes of the largest signature file.
const LIMIT: u64 = 16 << 10;
/// Signatures that are read of keys which the host does not trust: they count
/// for nothing, and are named where too few signed.
const MOST: usize = 64;
const EXTENSION: &str = ".minisig";

/// Where the signature by `key` of the bundle `name` goes; a bundle in parts
/// has the name of its list without the extension.
pub fn path_beside(name: &Path, key: KeyId) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(format!(".{key}{EXTENSION}"));
    path.into()
}

/// The signatures beside the bundle `name` and in the directories `more`: all
/// that name a key of `trusted`, and some others. What is no file, or larger
/// than a signature, or cannot be read, is left out: it must not hide another.
pub fn find(name: &Path, more: &[PathBuf], trusted: Option<&TrustStore>) -> Vec<Countersignature> {
    let Some(start) = name.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let mut dirs = vec![directory(name)];
    dirs.extend(more.iter().filter(|dir| **dir != directory(name)).cloned());
    let mut files = Vec::new();
    for dir in dirs {
        // The caller that needs the directory says that it cannot be read.
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if let Some(key) = signer(&path, start) {
                let counts = trusted.is_some_and(|store| store.is_trusted(key));
                files.push((!counts, path));
            }
        }
    }
    files.sort();
    let mut others = 0;
    files.retain(|(is_other, _)| {
        others += usize::from(*is_other);
        !is_other || others <= MOST
    });
    let read = |file: PathBuf| {
        let bytes = read_bounded(&file, LIMIT).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Countersignature { file, text })
    };
    let files = files.into_iter().map(|(_, file)| file);
    files.filter_map(read).collect()
}

/// The key that a file of this name is a signature of.
fn signer(path: &Path, bundle: &str) -> Option<KeyId> {
    let name = path.file_name()?.to_str()?;
    let rest = name.strip_prefix(bundle)?.strip_prefix('.')?;
    let id = rest.strip_suffix(EXTENSION)?;
    id.parse().ok().filter(|_| id.len() == 16)
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
        let found = find(&here.join("a.tar"), &more, None);
        let texts: Vec<_> = found.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["one", "\u{fffd}"]);
        let key = "0123456789ABCDEF".parse().unwrap();
        assert_eq!(path_beside(&here.join("a.tar"), key), found[0].file);
        assert!(find(Path::new("a.tar"), &[], None).is_empty());
    }

    #[test]
    fn no_number_of_other_signatures_hides_that_of_a_trusted_key() {
        let dir = tempfile::tempdir().unwrap();
        let new = crate::sign::generate(None).unwrap().public;
        let store = TrustStore::of([new.clone()]);
        let bundle = dir.path().join("a.tar");
        fs::write(path_beside(&bundle, new.id()), "the right one").unwrap();
        for id in 0..200 {
            let junk = format!("a.tar.{id:016X}.minisig");
            fs::write(dir.path().join(junk), "junk").unwrap();
        }
        // A link that leads nowhere cannot be read.
        let broken = dir.path().join("a.tar.0000000000001000.minisig");
        fs::os::unix::fs::symlink("/nowhere", broken).unwrap();
        let found = find(&bundle, &[], Some(&store));
        assert_eq!(found[0].text, "the right one");
        assert_eq!(found.len(), 1 + MOST);
    }
}
