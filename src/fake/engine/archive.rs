//! Reading the archives that images are loaded from.

use std::io::Read;

use serde::Deserialize;

use crate::engine::EngineImage;
use crate::oci::digest::Digest;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// The images of an archive as `docker save` makes it; `None` where it is
/// none.
pub(super) fn images(tar: &[u8]) -> Option<Vec<EngineImage>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().ok()? {
        let mut entry = entry.ok()?;
        let path = entry.path().ok()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        files.insert(path, content);
    }
    let listed: Vec<Listed> = serde_json::from_slice(files.get("manifest.json")?).ok()?;
    let mut images = Vec::new();
    for one in listed {
        let config = files.get(&one.config)?;
        let parsed: Config = serde_json::from_slice(config).ok()?;
        images.push(EngineImage {
            id: Digest::of(config).to_string(),
            diff_ids: parsed.rootfs.diff_ids,
            tags: one.repo_tags,
        });
    }
    Some(images)
}
