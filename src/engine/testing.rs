//! An engine's description for tests.

use super::{EngineFacts, EngineKind};

/// Docker 20.10 with its own store.
pub(crate) fn facts() -> EngineFacts {
    EngineFacts {
        kind: EngineKind::Docker,
        version: "20.10.24+dfsg1".to_owned(),
        api_version: "1.41".to_owned(),
        storage_driver: "overlay2".to_owned(),
        containerd_store: false,
        rootless: false,
        data_root: "/var/lib/docker".to_owned(),
        containerd: None,
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        cpus: 4,
        memory: 16 << 30,
        cgroup_version: "2".to_owned(),
        proxies: Vec::new(),
        socket: "/run/docker.sock".to_owned(),
    }
}
