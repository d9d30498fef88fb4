//! Keys, and bundles to take apart.

use std::process::{Command, Output};

use lfctl::fake::bundle::Fake;
use lfctl::host::trust::TrustStore;
use lfctl::oci::archive::{END, Entry};
use lfctl::oci::digest::Digest;
use lfctl::sign::{SecretKey, generate};
use secrecy::ExposeSecret;
use serde_json::json;

/// A new key without a password.
pub(crate) fn key() -> SecretKey {
    let new = generate(None).unwrap();
    SecretKey::parse(new.secret.expose_secret(), None).unwrap()
}

/// A store that trusts this key alone.
pub(crate) fn store(key: &SecretKey) -> TrustStore {
    TrustStore::of([key.public().clone()])
}

/// Bytes that do not compress; the same for the same seed.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

/// Runs a program to its end; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Removes images from the engine, also when the test fails.
pub(crate) struct Cleanup<'a>(pub(crate) &'a [String]);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        for reference in self.0 {
            output("docker", &["rmi", "--force", reference]);
        }
    }
}

/// Runs a program to its end.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// A bundle taken apart: names and contents of its entries.
#[derive(Debug, Clone)]
pub(crate) struct Parts(pub(crate) Vec<(String, Vec<u8>)>);

impl Parts {
    /// A small signed bundle.
    pub(crate) fn small(key: &SecretKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.tar");
        Fake::small().unwrap().write(&path, key).unwrap();
        Self::of(&fs_err::read(&path).unwrap())
    }

    /// Takes a bundle apart, as any tar.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut archive = tar::Archive::new(bytes);
        let parts = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                (name, content)
            })
            .collect();
        Self(parts)
    }

    /// Content of the entry of this name.
    pub(crate) fn get(&self, name: &str) -> &[u8] {
        let (_, content) = self.0.iter().find(|(known, _)| known == name).unwrap();
        content
    }

    /// Replaces the entry `name`.
    pub(crate) fn set(&mut self, name: &str, new_name: String, content: Vec<u8>) {
        let slot = self.0.iter_mut().find(|(known, _)| known == name).unwrap();
        *slot = (new_name, content);
    }

    /// Where each entry is when they are put together.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut offset = 0;
        self.0
            .iter()
            .map(|(name, content)| {
                let entry = Entry::new(name.clone(), content.len() as u64, offset).unwrap();
                offset = entry.end();
                entry
            })
            .collect()
    }

    /// The entry of this name.
    pub(crate) fn entry(&self, name: &str) -> Entry {
        self.entries()
            .into_iter()
            .find(|entry| entry.name == name)
            .unwrap()
    }

    /// Puts the bundle together again, with right headers throughout.
    pub(crate) fn assemble(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (entry, (_, content)) in self.entries().iter().zip(&self.0) {
            bytes.extend_from_slice(&entry.header().unwrap());
            bytes.extend_from_slice(content);
            bytes.resize(usize::try_from(entry.end()).unwrap(), 0);
        }
        bytes.resize(bytes.len() + usize::try_from(END).unwrap(), 0);
        bytes
    }

    /// Rewrites the bundle manifest and everything that depends on it, and
    /// signs the result: what a trusted but buggy or malicious maker can do.
    pub(crate) fn forge(
        &mut self,
        key: &SecretKey,
        comment: Option<&str>,
        change: impl FnOnce(&mut serde_json::Value),
    ) {
        let index: serde_json::Value = serde_json::from_slice(self.get("index.json")).unwrap();
        let artifact_name = blob(&index["manifests"][0]["digest"]);
        let artifact: serde_json::Value = serde_json::from_slice(self.get(&artifact_name)).unwrap();
        let bundle_name = blob(&artifact["config"]["digest"]);
        let mut bundle: serde_json::Value = serde_json::from_slice(self.get(&bundle_name)).unwrap();
        change(&mut bundle);

        let bundle = bundle.to_string().into_bytes();
        let mut artifact = artifact;
        artifact["config"]["digest"] = json!(Digest::of(&bundle));
        artifact["config"]["size"] = json!(bundle.len());
        let artifact = artifact.to_string().into_bytes();
        let mut index = index;
        index["manifests"][0]["digest"] = json!(Digest::of(&artifact));
        index["manifests"][0]["size"] = json!(artifact.len());
        let index = index.to_string().into_bytes();

        let name = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
        self.set(&bundle_name, name(&bundle), bundle);
        self.set(&artifact_name, name(&artifact), artifact);
        let old = lfctl::sign::Signature::parse(
            std::str::from_utf8(self.get("index.json.minisig")).unwrap(),
        )
        .unwrap();
        let signature = key
            .sign(&index, comment.unwrap_or(old.trusted_comment()))
            .unwrap();
        self.set("index.json", "index.json".to_owned(), index);
        self.set(
            "index.json.minisig",
            "index.json.minisig".to_owned(),
            signature.into_bytes(),
        );
    }
}

/// Name of the entry of a digest in a JSON document.
pub(crate) fn blob(digest: &serde_json::Value) -> String {
    let digest: Digest = digest.as_str().unwrap().parse().unwrap();
    lfctl::oci::archive::blob_name(&digest)
}
