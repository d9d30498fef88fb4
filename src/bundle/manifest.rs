//! What a signed bundle says of itself.
//!
//! A bundle is an uncompressed tar of one OCI image layout. The first
//! descriptor of its signed `index.json` is an OCI artifact; the config blob
//! of that artifact is the JSON document described here. It names every other
//! blob with digest and size, so that the head of a bundle tells trust, disk
//! need and plan before any layer is read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::sign::TrustStatement;
pub use crate::stack::release::{Release, SchemaChange};

/// Version of the format that this lfctl writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// `artifactType` of the OCI artifact that holds the bundle manifest.
pub const ARTIFACT_TYPE: &str = "application/vnd.lfctl.bundle.v1";
/// Media type of the bundle manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.lfctl.bundle.manifest.v1+json";
/// Media type of the stack definition.
pub const STACK_TYPE: &str = "application/vnd.lfctl.stack.v1+json";

/// Media type of the software bill of materials.
pub const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";

/// The bundle manifest. Unknown fields are kept out of the way of older
/// readers: only `format` decides whether a reader may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BundleManifest {
    /// Format version, see [`FORMAT`].
    pub format: u32,
    /// What is inside.
    pub release: Release,
    /// When the bundle was made: the newest `created` of its image configs
    /// unless the maker set it, so that the same lock gives the same bytes.
    pub created: Timestamp,
    /// The platform of every image.
    pub platform: Platform,
    /// The oldest lfctl that can install it.
    pub lfctl: Version,
    /// Images by the key that services use.
    pub images: BTreeMap<String, BundleImage>,
    /// The stack definition: a blob of [`STACK_TYPE`].
    pub stack: Digest,
    /// What may be upgraded to this release.
    pub upgrade: UpgradeRules,
    /// What the signer says of other keys.
    #[serde(default, skip_serializing_if = "TrustStatement::is_empty")]
    pub trust: TrustStatement,
    /// What a delta bundle needs to be there; none for a full bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The software bill of materials: a blob of [`SBOM_TYPE`], the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Digest>,
    /// Every blob after the bundle manifest, in the order of the tar.
    pub blobs: Vec<Blob>,
}

/// What a delta bundle builds on: layers that it does not carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Base {
    /// What holds them, in words, such as `langfuse 3.225.4`.
    pub name: String,
    /// Digest of the `index.json` of that bundle, or of that inventory.
    pub digest: Digest,
    /// Layers that are left out, sorted by digest.
    pub absent: Vec<Blob>,
}

/// Operating system and architecture, in OCI's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BundleImage {
    /// Fully qualified reference with a tag, as operators see it.
    pub reference: String,
    /// Digest of the image manifest.
    pub manifest: Digest,
    /// Digest of the image config; the image id in Docker's classic store.
    pub config: Digest,
    /// Layers from the base up.
    pub layers: Vec<Layer>,
}

/// A layer, exactly as the registry served it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layer {
    /// Digest of the stored blob.
    pub digest: Digest,
    /// Bytes of the stored blob.
    pub size: u64,
    /// Digest of the inflated layer.
    pub diff_id: Digest,
    /// Bytes of the inflated layer.
    pub unpacked: u64,
    /// Media type, which tells the compression.
    pub media_type: String,
}

/// A stored blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What may be upgraded to a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UpgradeRules {
    /// Version ranges from which an upgrade may start; empty means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<semver::VersionReq>,
    /// How it goes from each range; where none fits, a step within a major is
    /// rolling and additive, and any other is neither.
    #[serde(default, rename = "path", skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<UpgradePath>,
}

/// How an upgrade goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UpgradePath {
    /// Versions from which it goes so.
    pub from: semver::VersionReq,
    /// Whether the old release may serve while the databases are migrated.
    pub way: UpgradeWay,
    /// Whether the old release can work on the migrated databases.
    pub schema: SchemaChange,
}

/// Whether an old release may serve while the databases are migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeWay {
    /// It may.
    Rolling,
    /// It must stand still.
    Cold,
}

impl UpgradeRules {
    /// Whether an upgrade may start from `version`.
    pub fn allow(&self, version: &Version) -> bool {
        self.from.iter().any(|range| range.matches(version))
    }

    /// How it goes from `before` to `after`.
    pub fn path(&self, before: &Version, after: &Version) -> (UpgradeWay, SchemaChange) {
        let named = self.paths.iter().find(|path| path.from.matches(before));
        match named {
            Some(path) => (path.way, path.schema),
            None if before.major == after.major => (UpgradeWay::Rolling, SchemaChange::Additive),
            None => (UpgradeWay::Cold, SchemaChange::Destructive),
        }
    }
}

impl BundleManifest {
    /// Layers that a delta bundle does not carry.
    pub fn absent(&self) -> &[Blob] {
        self.base.as_ref().map_or(&[], |base| &base.absent)
    }

    /// Bytes of all images once unpacked, each layer counted once.
    pub fn unpacked_bytes(&self) -> u64 {
        let mut seen = std::collections::BTreeSet::new();
        self.images
            .values()
            .flat_map(|image| &image.layers)
            .filter(|layer| seen.insert(layer.diff_id))
            .map(|layer| layer.unpacked)
            .sum()
    }
}
