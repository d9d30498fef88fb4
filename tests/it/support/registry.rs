//! A registry on loopback.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lfctl::fake::bundle::FakeImage;
use lfctl::oci::digest::Digest;
use serde_json::json;

use super::bundle::run;

/// Debian's docker-registry on a free port of loopback. Stops with its value.
#[derive(Debug)]
pub(crate) struct LocalRegistry {
    pub(crate) port: u16,
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for LocalRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LocalRegistry {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::over(&data, "", dir)
    }

    /// Another one over the same images, with more in its configuration.
    pub(crate) fn with(&self, more: &str) -> Self {
        let data = self.dir.path().join("data");
        Self::over(&data, more, tempfile::tempdir().unwrap())
    }

    fn over(data: &Path, more: &str, dir: tempfile::TempDir) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:{port}\n{more}",
            data.display()
        );
        let file = dir.path().join("config.yml");
        fs_err::write(&file, config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", file.to_str().unwrap()])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { port, child, dir };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no registry");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }

    /// Its address, as a mirror is named.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Puts an image there under `repository:tag`, as it is.
    pub(crate) fn push(&self, name: &str, image: &FakeImage) {
        let layout = tempfile::tempdir().unwrap();
        let descriptor = write_image(layout.path(), image);
        write_index(layout.path(), &[descriptor]);
        self.copy(layout.path(), name);
    }

    /// Puts an index of several images there, each for a platform.
    pub(crate) fn push_index(&self, name: &str, images: &[(&str, &str, &FakeImage)]) {
        let layout = tempfile::tempdir().unwrap();
        let manifests: Vec<_> = images
            .iter()
            .map(|(os, architecture, image)| {
                let mut descriptor = write_image(layout.path(), image);
                descriptor["platform"] = json!({"os": os, "architecture": architecture});
                descriptor
            })
            .collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        let bytes = index.to_string().into_bytes();
        let descriptor = json!({
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": write_blob(layout.path(), &bytes),
            "size": bytes.len(),
        });
        write_index(layout.path(), &[descriptor]);
        self.copy(layout.path(), name);
    }

    fn copy(&self, layout: &Path, name: &str) {
        run(
            "skopeo",
            &[
                "copy",
                "--quiet",
                "--all",
                "--insecure-policy",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &format!("oci:{}:it", layout.display()),
                &format!("docker://{}/{name}", self.address()),
            ],
        );
    }

    /// The file in which the registry keeps a blob.
    pub(crate) fn blob_file(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir
            .path()
            .join("data/docker/registry/v2/blobs/sha256")
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }
}

fn write_blob(layout: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let path = layout.join(lfctl::oci::archive::blob_name(&digest));
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
    digest
}

fn write_image(layout: &Path, image: &FakeImage) -> serde_json::Value {
    write_blob(layout, &image.config);
    for layer in &image.layers {
        write_blob(layout, &layer.bytes);
    }
    json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": write_blob(layout, &image.manifest),
        "size": image.manifest.len(),
    })
}

fn write_index(layout: &Path, descriptors: &[serde_json::Value]) {
    let mut descriptors = descriptors.to_vec();
    for descriptor in &mut descriptors {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    }
    fs_err::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let index = json!({"schemaVersion": 2, "manifests": descriptors});
    fs_err::write(layout.join("index.json"), index.to_string()).unwrap();
}
