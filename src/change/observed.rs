//! What is there before a plan is made, as values.

use std::collections::BTreeMap;

use crate::facts::DiskNeed;

/// What is there before the plan is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Observed {
    /// Whether the engine holds the image, by image key.
    pub images: BTreeMap<String, bool>,
    /// Whether `site.toml` on disk equals the one to be written.
    pub site_written: bool,
    /// Whether every secret that the stack names exists.
    pub secrets_complete: bool,
    /// Networks of the plan by engine name, and whether each exists as it would
    /// be made now.
    pub networks: BTreeMap<String, bool>,
    /// Volumes of the plan by engine name, and whether each exists.
    pub volumes: BTreeMap<String, bool>,
    /// Containers by service.
    pub containers: BTreeMap<String, Fit>,
    /// What `state.json` says of this bundle.
    pub record: Record,
    /// The host remembers the release, and what its signer says of keys is done.
    pub release_recorded: bool,
    /// Bytes that the engine's disk must hold until the images are loaded, and
    /// what it has.
    pub needs: Vec<DiskNeed>,
    /// A change of this appliance broke off: whatever looks right now has not
    /// proven itself.
    pub unfinished: bool,
}

/// What `state.json` says of a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Record {
    /// It does not name it.
    #[default]
    None,
    /// Its install began.
    Begun,
    /// Its install reached its end.
    Complete,
}

/// How the container of a service fits what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It runs as defined, and its health check holds.
    Healthy,
    /// It runs as defined, and its health check does not hold (yet).
    Running,
    /// Missing, stopped, or defined otherwise.
    Wrong,
}
