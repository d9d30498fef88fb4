//! What the targets share: a good bundle, taken apart and put together again
//! around the bytes under test, and a file in memory to open it from.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use lfctl::fake::bundle::Fake;
use lfctl::bundle::open::{Bundle, OpenError, UntrustedBundle};
use lfctl::oci::archive::{Archive, END, Entry, blob_name};
use lfctl::oci::digest::Digest;
use lfctl::oci::image::Image;
use lfctl::sign::{SecretKey, generate};
use lfctl::sys::span::SpanFile;
use secrecy::ExposeSecret;

/// Names and contents of the entries of a bundle, in order.
pub type Parts = Vec<(String, Vec<u8>)>;

/// A small signed bundle.
pub fn good() -> Vec<u8> {
    let new = generate(None).expect("a key");
    let key = SecretKey::parse(new.secret.expose_secret(), None).expect("a secret key");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.tar");
    Fake::small()
        .expect("a fake")
        .write(&path, &key)
        .expect("a bundle");
    fs_err::read(path).expect("its bytes")
}

/// The small bundle, taken apart.
pub fn parts() -> &'static Parts {
    static PARTS: LazyLock<Parts> = LazyLock::new(|| {
        let bytes = good();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("entries");
        let parts = entries.map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
            (entry.path().expect("a path").display().to_string(), content)
        });
        parts.collect()
    });
    &PARTS
}

/// The images of the small bundle.
pub fn images() -> &'static [Image] {
    static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| {
        let images = Fake::small().expect("a fake").images.into_values();
        images
            .map(|(_, image)| Image::parse(image.manifest, image.config).expect("an image"))
            .collect()
    });
    &IMAGES
}

/// Digests of their manifests.
pub fn manifests() -> &'static [Digest] {
    static MANIFESTS: LazyLock<Vec<Digest>> = LazyLock::new(|| {
        let manifests = images().iter().map(|image| Digest::of(&image.manifest));
        manifests.collect()
    });
    &MANIFESTS
}

/// Puts a bundle together, with right headers throughout.
pub fn assemble(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut offset) = (Vec::new(), 0);
    for (name, content) in parts {
        let entry = Entry::new(name.clone(), content.len() as u64, offset).expect("an entry");
        offset = entry.end();
        bytes.extend_from_slice(&entry.header().expect("a header"));
        bytes.extend_from_slice(content);
        bytes.resize(usize::try_from(offset).expect("a size"), 0);
    }
    bytes.resize(bytes.len() + usize::try_from(END).expect("a size"), 0);
    bytes
}

/// The bundle with another bundle manifest, and with the artifact manifest
/// and the index that fit it.
pub fn around(manifest: &[u8]) -> Vec<u8> {
    let mut parts = parts().clone();
    let index = json(&parts[1].1);
    let mut artifact = json(&parts[4].1);
    artifact["config"]["digest"] = Digest::of(manifest).to_string().into();
    artifact["config"]["size"] = manifest.len().into();
    let artifact = artifact.to_string().into_bytes();
    let mut index = index;
    index["manifests"][0]["digest"] = Digest::of(&artifact).to_string().into();
    index["manifests"][0]["size"] = artifact.len().into();
    parts[1].1 = index.to_string().into_bytes();
    parts[4] = (blob_name(&Digest::of(&artifact)), artifact);
    parts[5] = (blob_name(&Digest::of(manifest)), manifest.to_vec());
    assemble(&parts)
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).expect("a document")
}

/// Opens bytes as a bundle, signed by anybody.
pub fn open(bytes: &[u8]) -> Result<Bundle, OpenError> {
    let file = rustix::fs::memfd_create("bundle", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
    let mut file = fs_err::File::from_parts(std::fs::File::from(file), "bundle");
    file.write_all(bytes).expect("room");
    let span = SpanFile::new([(Arc::new(file), bytes.len() as u64)]).expect("a span");
    UntrustedBundle::over(Archive::over(span, Path::new("bundle")))?.trust_blindly()
}
