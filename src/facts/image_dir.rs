//! Where an engine really puts images: with a containerd store that is a
//! containerd's directory, which may lie on another filesystem than the
//! engine's own.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::engine::EngineFacts;

/// Where the system's containerd keeps its data unless it is told otherwise.
const CONTAINERD: &str = "/var/lib/containerd";
/// Holds the blobs of a containerd store, beside its snapshots.
const CONTENT: &str = "io.containerd.content.v1.content";

/// The directory below which `engine` stores images.
pub fn image_dir(engine: &EngineFacts) -> PathBuf {
    below(Path::new("/"), engine)
}

fn below(root: &Path, engine: &EngineFacts) -> PathBuf {
    let own = PathBuf::from(&engine.data_root);
    if !engine.containerd_store || engine.rootless {
        return own;
    }
    let is_systems = match &engine.containerd {
        // The engine's own lies in its run directory, `/run/docker`.
        Some(socket) => socket
            .trim_start_matches("/var")
            .starts_with("/run/containerd/"),
        // Docker before 27 does not say which.
        None => !in_root(root, &own)
            .join("containerd/daemon")
            .join(CONTENT)
            .exists(),
    };
    let system = configured(root).unwrap_or_else(|| PathBuf::from(CONTAINERD));
    if is_systems && in_root(root, &system).exists() {
        system
    } else {
        own
    }
}

/// `root` in containerd's configuration.
fn configured(root: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Config {
        root: Option<PathBuf>,
    }
    let text = fs::read_to_string(root.join("etc/containerd/config.toml")).ok()?;
    toml::from_str::<Config>(&text).ok()?.root
}

fn in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_where_the_containerd_in_use_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let make = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
        make("var/lib/containerd");
        let mut engine = crate::engine::testing::facts();
        let at = |engine: &EngineFacts| below(root, engine).display().to_string();
        assert_eq!(at(&engine), "/var/lib/docker");

        engine.containerd_store = true;
        assert_eq!(at(&engine), CONTAINERD);
        engine.containerd = Some("/run/containerd/containerd.sock".to_owned());
        assert_eq!(at(&engine), CONTAINERD);
        engine.containerd = Some("/var/run/docker/containerd/containerd.sock".to_owned());
        assert_eq!(at(&engine), "/var/lib/docker");

        engine.containerd = Some("/run/containerd/containerd.sock".to_owned());
        make("etc/containerd");
        let config = "version = 2\nroot = \"/srv/containerd\"\n[plugins]\n";
        fs::write(root.join("etc/containerd/config.toml"), config).unwrap();
        assert_eq!(at(&engine), "/var/lib/docker", "there is no such directory");
        make("srv/containerd");
        assert_eq!(at(&engine), "/srv/containerd");

        engine.containerd = None;
        make(&format!("var/lib/docker/containerd/daemon/{CONTENT}"));
        assert_eq!(at(&engine), "/var/lib/docker");
    }
}
