//! What a spec leaves open.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::bundle::delta::Base;
use crate::bundle::lock::Lock;
use crate::engine::docker::Docker;
use crate::oci::registry;

/// Blobs that are pulled at once.
pub(super) const PARALLEL: usize = 4;

/// What a spec leaves open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of the spec's platforms; its first unless chosen.
    pub platform: Option<String>,
    /// Where the images are.
    pub from: ImagesFrom,
    /// How to reach registries.
    pub registry: registry::Options,
    /// What the references stood for before.
    pub lock: Option<Lock>,
    /// Refuse images other than those in the lock.
    pub locked: bool,
    /// Creation time of the bundle, instead of that of its newest image.
    pub created: Option<Timestamp>,
    /// Look into every layer for the packages in it.
    pub sbom: bool,
    /// Leave out what this has.
    pub base: Option<Base>,
    /// Where the bundle goes.
    pub output: PathBuf,
    /// Bytes of the parts it is cut into; `None` for one file.
    pub split: Option<u64>,
}

/// Where the images of a bundle are.
#[derive(Debug, Clone, Default)]
pub enum ImagesFrom {
    /// In the registries that their references name.
    #[default]
    Registries,
    /// In an OCI image layout on disk.
    Layout(PathBuf),
    /// In a container engine.
    Engine(Docker),
}
