//! What is laid out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;

use crate::bundle::manifest::{Platform, Release, UpgradeRules};
use crate::oci::digest::Digest;
use crate::oci::image::{Compression, Image};
use crate::sign::TrustStatement;
use crate::stack::Stack;

/// What a bundle is made of, without its layers.
#[derive(Debug, Clone)]
pub struct Contents {
    /// What it is.
    pub release: Release,
    /// When it was made; the newest of its images unless given.
    pub created: Option<Timestamp>,
    /// The platform of every image.
    pub platform: Platform,
    /// The oldest lfctl that can install it.
    pub lfctl: Version,
    /// What may be upgraded to it.
    pub upgrade: UpgradeRules,
    /// The stack definition.
    pub stack: Stack,
    /// Reference with tag and image, by the key that services use.
    pub images: BTreeMap<String, (String, Image)>,
    /// What the signer says of other keys.
    pub trust: TrustStatement,
    /// What is left out because a base has it.
    pub delta: Option<Delta>,
    /// Whether a software bill of materials will be there when it is sealed.
    pub sbom: bool,
}

/// Layers that a bundle leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// What holds them, in words.
    pub name: String,
    /// Digest of what holds them.
    pub digest: Digest,
    /// The layers.
    pub absent: BTreeSet<Digest>,
}

/// Where a layer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSlot {
    /// The layer.
    pub digest: Digest,
    /// Bytes as stored.
    pub size: u64,
    /// Digest once inflated.
    pub diff_id: Digest,
    /// How it is stored.
    pub compression: Compression,
    /// Offset of its first byte in the bundle.
    pub offset: u64,
}
