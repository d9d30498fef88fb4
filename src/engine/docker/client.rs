//! The connection.

use std::path::PathBuf;

use crate::engine::EngineKind;

/// A connection to an engine's socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(super) client: bollard::Docker,
    pub(super) socket: PathBuf,
    pub(super) kind: EngineKind,
}

impl Docker {
    /// Docker or Podman.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }
}
