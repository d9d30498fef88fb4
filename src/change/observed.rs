//! What is there before a plan is made, as values.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The host's firewall is closed to the gateway, or cannot be.
    pub firewall_closed: bool,
    /// Volumes of the plan by engine name, and whether each exists.
    pub volumes: BTreeMap<String, bool>,
    /// Containers by service.
    pub containers: BTreeMap<String, Fit>,
    /// Services that have a container and are not wanted any more.
    pub surplus_services: BTreeSet<String>,
    /// Networks that are not wanted any more, by engine name.
    pub surplus_networks: BTreeSet<String>,
    /// The same for those that run as they start on empty databases.
    pub first_starts: BTreeMap<String, Fit>,
    /// What `state.json` says of this bundle.
    pub record: Record,
    /// The host remembers the release, and what its signer says of keys is done.
    pub release_recorded: bool,
    /// Bytes that the engine's disk must hold until the images are loaded, and
    /// what it has.
    pub needs: Vec<DiskNeed>,
    /// How the gateway that runs can be turned; `None` where it cannot.
    pub gateway: Option<Gateway>,
    /// Volumes of which a change that stands still makes rollback points.
    pub points: Vec<VolumePoint>,
    /// The generation that runs was made from another `site.toml`.
    pub is_other_site: bool,
    /// A change of this appliance broke off: whatever looks right now has not
    /// proven itself.
    pub unfinished: bool,
}

impl Observed {
    /// Whether every volume exists.
    pub fn has_volumes(&self) -> bool {
        self.volumes.values().all(|exists| *exists)
    }

    /// Whether the gateway can be closed and rollback points be made.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn can_stand_still(&self) -> Result<(), String> {
        if self.gateway.is_none() {
            return Err(
                "the gateway cannot be closed: it has no inner port, is not as it was installed, or \
                 its engine runs without root"
                    .to_owned(),
            );
        }
        match self.points.iter().find(|point| point.bytes.is_none()) {
            None => Ok(()),
            Some(point) => Err(format!(
                "the directory of volume `{}` cannot be read, so no rollback point can be made of it",
                point.volume
            )),
        }
    }
}

/// A gateway that can be turned while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Its container stays, and only reads other files.
    pub stays: bool,
    /// The web it leads to is the one that lfctl made, so that another one can
    /// be started beside it.
    pub web_fits: bool,
}

/// What a rollback point of a volume takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePoint {
    /// The volume, as the stack definition names it.
    pub volume: String,
    /// Bytes that are copied; `None` where its directory is out of reach.
    pub bytes: Option<u64>,
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

/// How the container of a service fits what is wanted, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It runs as defined, and its health check holds.
    Healthy,
    /// It runs as defined, and its health check does not hold (yet).
    Running,
    /// Missing, stopped, or defined otherwise.
    Wrong,
}
