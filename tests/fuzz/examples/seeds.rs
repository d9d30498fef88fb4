//! Writes the first inputs of every target below the directory that is named:
//! good ones made on the spot, the hostile bundles of this repository, and
//! what is inside those.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use lfctl::bundle::delta::{HeldImage, Inventory, SCHEMA};
use lfctl::bundle::lock::{Lock, Locked};
use lfctl::bundle::manifest::Platform;
use lfctl::bundle::sbom::Bom;
use lfctl::oci::digest::Digest;
use lfctl::oci::registry::Credentials;
use lfctl::sign::{IntroducedKey, TrustStatement};
use lfctl::sys::versioned::Writer;
use secrecy::ExposeSecret;
use serde_json::Value;

/// Bytes of the largest input that is kept. Slow inputs find little.
const LIMIT: u64 = 1 << 16;

struct Seeds(PathBuf);

impl Seeds {
    fn put(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        fs_err::create_dir_all(self.0.join(target))?;
        fs_err::write(self.0.join(target).join(name), bytes)
    }
}

fn main() -> io::Result<()> {
    let dir = std::env::args().nth(1).expect("usage: seeds DIR");
    let seeds = Seeds(dir.into());
    bundle(&seeds)?;
    keys(&seeds)?;
    documents(&seeds)?;
    for (name, bytes) in hostile()? {
        seeds.put("archive_head", &name, &bytes)?;
        inside(&seeds, &name, &bytes)?;
    }
    let bundles = repository().join("bundles");
    for entry in fs_err::read_dir(bundles)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") {
            seeds.put("spec", &name, fs_err::read(&path)?)?;
        }
        if name.ends_with(".lock") {
            seeds.put("lock", &name, fs_err::read(&path)?)?;
        }
    }
    seeds.put("layer", "good", layer()?)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn bundle(seeds: &Seeds) -> io::Result<()> {
    let good = lfctl_fuzz::good();
    seeds.put("archive_head", "good", &good)?;
    seeds.put("archive_head", "cut", &good[..good.len() / 2])?;
    seeds.put("archive_head", "trailing", [&good[..], b"more"].concat())?;
    let parts = lfctl_fuzz::parts();
    let manifest = parts[5].1.trim_ascii_end();
    seeds.put("bundle_manifest", "unpadded", manifest)?;
    inside(seeds, "good", &good)
}

/// The hostile bundles, unpacked.
fn hostile() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(repository().join("tests/hostile"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".tar.gz") {
            let mut bytes = Vec::new();
            let packed = fs_err::File::open(&path)?;
            GzDecoder::new(packed).take(LIMIT).read_to_end(&mut bytes)?;
            found.push((name.to_owned(), bytes));
        }
    }
    Ok(found)
}

/// Each entry of a bundle, as far as it can be read, for the target that it
/// is for.
fn inside(seeds: &Seeds, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut archive = tar::Archive::new(bytes);
    let (mut manifest, mut config) = (Vec::new(), Vec::new());
    for entry in archive.entries()? {
        let Ok(mut entry) = entry else { break };
        let path = entry.path_bytes().into_owned();
        let mut content = Vec::new();
        if entry.read_to_end(&mut content).is_err() {
            break;
        }
        let has = |keys: &[&str]| {
            let value = serde_json::from_slice::<Value>(&content);
            value.is_ok_and(|value| keys.iter().all(|key| value.get(key).is_some()))
        };
        match path.as_slice() {
            b"index.json" => seeds.put("index", name, &content)?,
            b"index.json.minisig" => seeds.put("minisign", name, &content)?,
            _ if has(&["artifactType"]) => {}
            _ if has(&["format"]) => seeds.put("bundle_manifest", name, &content)?,
            _ if has(&["services"]) => seeds.put("stack", name, &content)?,
            _ if has(&["layers", "config"]) => manifest = content,
            _ if has(&["rootfs"]) => config = content,
            _ => {
                let mut tar = Vec::new();
                let inflated = GzDecoder::new(content.as_slice()).take(LIMIT);
                if { inflated }.read_to_end(&mut tar).is_ok() {
                    seeds.put("layer", name, tar)?;
                }
            }
        }
    }
    if manifest.is_empty() {
        return Ok(());
    }
    seeds.put("image", name, [manifest, vec![0], config].concat())
}

fn keys(seeds: &Seeds) -> io::Result<()> {
    for password in [None, Some("password".into())] {
        let name = password.as_ref().map_or("plain", |_| "protected");
        let new = lfctl::sign::generate(password.as_ref()).expect("a key");
        seeds.put("minisign", name, new.secret.expose_secret())?;
        let (text, line) = (new.public.to_text(), new.public.to_base64());
        seeds.put("minisign", &format!("{name}.pub"), text)?;
        seeds.put("minisign", &format!("{name}.base64"), line)?;
        let statement = TrustStatement {
            revoke: vec![new.public.id()],
            introduce: vec![IntroducedKey(new.public)],
            ..TrustStatement::default()        };
        seeds.put("statement", name, json(&statement))?;
    }
    Ok(())
}

fn documents(seeds: &Seeds) -> io::Result<()> {
    let digest = Digest::of(b"x");
    // The first schema, which is read as ever, and the present one.
    let lock = format!(
        "schema = 1\nplatform = \"linux/amd64\"\n[images]\n\"docker.io/a/b:1.0\" = \"{digest}\"\n[layers]\n\"{digest}\" = 7\n"
    );
    seeds.put("lock", "first", &lock)?;
    let locked = Locked {
        images: [("docker.io/a/b:1.0".to_owned(), digest)].into(),
        layers: [(digest, 7)].into(),
    };
    let mut lock = Lock::of("linux/amd64".to_owned(), locked.clone());
    lock.platforms.insert("linux/arm64".to_owned(), locked);
    seeds.put("lock", "present", lock.to_text().expect("a lock"))?;

    let list = serde_json::json!({
        "format": 1, "name": "a.tar", "index": digest, "size": 1000, "part-size": 600, "parts": [digest, digest],
    });
    seeds.put("part_list", "good", list.to_string())?;

    let images = lfctl_fuzz::images().iter().map(|image| HeldImage {
        id: Digest::of(&image.config),
        tags: vec!["lfctl.local/app:1".to_owned()],
        diff_ids: image.layers.iter().map(|layer| layer.diff_id).collect(),
    });
    let inventory = Inventory {
        schema: SCHEMA,
        lfctl: Writer,
        host: "a".to_owned(),
        platform: Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
        },
        whole_images: false,
        images: images.collect(),
    };
    seeds.put("inventory", "good", json(&inventory))?;

    let image = format!("image:{}", lfctl_fuzz::manifests()[0]);
    let sbom = serde_json::json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:0", "version": 1,
        "metadata": {"timestamp": "2026-01-02T03:04:05Z", "tools": {"components": []}, "component": {"type": "application", "bom-ref": "bundle", "name": "a", "version": "1.0.0"}},
        "components": [
            {"type": "container", "bom-ref": image, "name": "app", "version": "1.0.0"},
            {"type": "library", "bom-ref": "a", "name": "a", "version": "1", "purl": "pkg:deb/debian/a@1?arch=amd64",
             "licenses": [{"license": {"id": "MIT"}}, {"expression": "MIT OR Apache-2.0"}]},
        ],
        "dependencies": [{"ref": image, "dependsOn": ["a"]}],
    });
    Bom::parse(sbom.to_string().as_bytes()).expect("a good one");
    seeds.put("sbom", "good", sbom.to_string())?;

    let login = serde_json::json!({
        "auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"}, "a.example": {"auth": "MDA6", "identitytoken": "abc"}},
        "credHelpers": {"b.example": "pass"}, "credsStore": "secretservice",
    });
    Credentials::parse(&login.to_string()).expect("a good one");
    seeds.put("credentials", "good", login.to_string())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a document")
}

fn layer() -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        (
            "var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
        ),
        ("lib/apk/db/installed", "P:musl\nV:1.2\nL:MIT\n"),
        ("usr/share/doc/a/copyright", "Format: x\nLicense: GPL-2+\n"),
        ("var/.wh.x", ""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.append_pax_extensions([("path", b"usr/share/doc/b".as_slice())])?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "x", "a")?;
    tar.into_inner()
}
