//! From the engine's answers to our types. Pure; every field may be missing,
//! since Podman leaves some out and old engines did not know all of them.
//!
//! bollard's models are not used for what is read: they refuse a whole answer
//! over one word that they do not know, and engines learn new words.

mod container;
mod json;

use std::path::Path;

use bollard::models::BuildInfo;
use serde_json::Value;

pub(super) use container::container;
use json::{elements, is_true, text, text_members, texts, unsigned};

use crate::engine::{EngineFacts, EngineImage, EngineKind, Resource};

/// `DriverStatus` entry by which Docker tells that images live in containerd.
const CONTAINERD_DRIVER: &str = "io.containerd.snapshotter.v1";

pub(super) fn kind(version: &Value) -> EngineKind {
    let podman = elements(version, "/Components")
        .filter_map(|component| text(component, "/Name"))
        .any(|name| name.contains("Podman"));
    if podman {
        EngineKind::Podman
    } else {
        EngineKind::Docker
    }
}

/// What an engine says of itself, by its `/version`, its `/info` and, for
/// Podman, its own `/libpod/info`: Podman 4 tells only there that it runs
/// without root.
pub(super) fn facts(version: &Value, info: &Value, libpod: &Value, socket: &Path) -> EngineFacts {
    let containerd_store = elements(info, "/DriverStatus")
        .any(|pair| pair[0] == "driver-type" && pair[1] == CONTAINERD_DRIVER);
    let rootless = texts(info, "/SecurityOptions")
        .iter()
        .any(|option| option.split(',').any(|part| part == "name=rootless"));
    let either = |one: &str, other: &str| {
        text(version, one)
            .or_else(|| text(info, other))
            .unwrap_or_default()
    };
    let proxies = ["/HttpProxy", "/HttpsProxy"]
        .iter()
        .filter_map(|name| text(info, name))
        .filter(|proxy| !proxy.is_empty())
        .collect();
    EngineFacts {
        kind: kind(version),
        version: either("/Version", "/ServerVersion"),
        api_version: text(version, "/ApiVersion").unwrap_or_default(),
        storage_driver: text(info, "/Driver").unwrap_or_default(),
        containerd_store,
        rootless: rootless || is_true(libpod, "/host/security/rootless"),
        data_root: text(info, "/DockerRootDir").unwrap_or_default(),
        containerd: text(info, "/Containerd/Address").filter(|_| containerd_store),
        os: either("/Os", "/OSType"),
        architecture: oci_architecture(&either("/Arch", "/Architecture")),
        cpus: unsigned(info, "/NCPU"),
        memory: unsigned(info, "/MemTotal"),
        cgroup_version: text(info, "/CgroupVersion").unwrap_or_default(),
        proxies,
        socket: socket.display().to_string(),
    }
}

fn oci_architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
    .to_owned()
}

pub(super) fn image(inspect: &Value) -> Option<EngineImage> {
    let id = text(inspect, "/Id")?;
    let id = if id.contains(':') {
        id
    } else {
        format!("sha256:{id}")
    };
    Some(EngineImage {
        id,
        diff_ids: texts(inspect, "/RootFS/Layers"),
        tags: texts(inspect, "/RepoTags"),
    })
}

/// The ids of all containers or images in a list.
pub(super) fn ids(listed: &Value) -> Vec<String> {
    elements(listed, "")
        .filter_map(|one| text(one, "/Id"))
        .collect()
}

/// All networks or volumes in a list.
pub(super) fn resources(listed: &Value) -> Vec<Resource> {
    elements(listed, "").map(resource).collect()
}

/// A network or a volume.
pub(super) fn resource(json: &Value) -> Resource {
    Resource {
        name: text(json, "/Name").unwrap_or_default(),
        labels: text_members(json, "/Labels"),
        internal: is_true(json, "/Internal"),
        directory: text(json, "/Mountpoint").filter(|path| !path.is_empty()),
    }
}

/// The error in one message of a load's answer, if it is one.
pub(super) fn load_error(message: &BuildInfo) -> Option<String> {
    let detail = message.error_detail.as_ref()?;
    Some(match (&detail.message, detail.code) {
        (Some(text), _) => text.clone(),
        (None, Some(code)) => format!("error code {code}"),
        (None, None) => "an error without words".to_owned(),
    })
}

#[cfg(test)]
mod tests;
