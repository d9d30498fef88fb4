//! What a command is about to do, as values for the checks before it.

use std::net::SocketAddr;

use serde::Serialize;

use super::existing::Existing;
use crate::appliance::state::State;
use crate::bundle::manifest::BundleManifest;
use crate::oci::digest::Digest;
use crate::sys::disk::Disk;
use crate::sys::host::PortState;

/// What an install, or a load of images, is about to do.
#[derive(Debug, Clone)]
pub struct Change {
    /// The bundle.
    pub manifest: BundleManifest,
    /// Digest of its `index.json`.
    pub bundle: Digest,
    /// Whether it replaces what runs.
    pub is_upgrade: bool,
    /// Whether it stands still meanwhile, and if so, why that cannot be done.
    pub cold: Option<Result<(), String>>,
    /// What is recorded of the appliance.
    pub recorded: Option<State>,
    /// What exists under the names that the appliance wants.
    pub existing: Existing,
    /// Bytes that will be written, by filesystem.
    pub needs: Vec<DiskNeed>,
    /// Where the gateway will listen, and whether that is free. `None` when
    /// this appliance itself holds it.
    pub port: Option<(SocketAddr, PortState)>,
    /// Layers that neither the bundle, its bases nor the engine have.
    pub missing: Vec<MissingLayer>,
}

/// A layer that an image needs and nothing at hand has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MissingLayer {
    /// The image.
    pub reference: String,
    /// The stored blob.
    pub layer: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What one filesystem must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskNeed {
    pub path: String,
    /// What is written there.
    pub purpose: String,
    pub bytes: u64,
    /// Bytes that are free, or `None` where lfctl cannot see the engine's disk.
    pub free: Option<u64>,
}

impl DiskNeed {
    /// A need on the disk that was looked at.
    pub fn on(disk: Option<&Disk>, path: &str, purpose: &str, bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            purpose: purpose.to_owned(),
            bytes,
            free: disk.map(|disk| disk.free),
        }
    }
}
