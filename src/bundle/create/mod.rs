//! Making a bundle out of images in registries.
//!
//! One pass: manifests and configs are read, the file is laid out and its
//! room reserved, and each layer goes straight to its final offset, while it
//! is hashed and inflated to check what the image says of it. Nothing is
//! stored twice, and nothing that looks finished exists before the bundle was
//! opened again and verified.

mod layers;
mod pipeline;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use oci_spec::distribution::Reference;
use semver::Version;

use super::delta::Base;
use super::documents::trusted_comment;
use super::layout::{Contents, Delta, LayerSlot, LayoutError, Planned, Signed};
use super::lock::{self, Lock};
use super::manifest::Platform;
use super::open::{OpenError, UntrustedBundle};
use super::parts::{self, Cut, PartError, PartWriter};
use super::receipt::Receipt;
use super::sbom::{self, Bom, LayerContent};
use super::spec::{BundleSpec, SpecError, parse_platform, parse_reference, tagged};
use super::workers::apart;
use crate::oci::archive::Archive;
use crate::oci::digest::Digest;
use crate::oci::image::{Image, ImageError, config_of};
use crate::oci::registry::{self, Registry, RegistryError};
use crate::report::event::{Level, Outcome, Reporter, Step, Unit, notice};
use crate::sign::{SecretKey, TrustStore, TrustedKey};
use crate::sys::partial_set::PartialSet;

/// Blobs that are pulled at once.
const PARALLEL: usize = 4;

/// What a spec leaves open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of the spec's platforms; its first unless chosen.
    pub platform: Option<String>,
    /// How to reach registries.
    pub registry: registry::Options,
    /// Refuse images other than these.
    pub lock: Option<Lock>,
    /// When the bundle is said to be made, instead of its newest image.
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

/// A finished bundle.
#[derive(Debug)]
pub struct Created {
    /// What was verified when it was opened again.
    pub receipt: Receipt,
    /// What the references stood for.
    pub lock: Lock,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The spec does not fit the wish.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The platform is none of the spec's.
    #[error("choose one of the spec's platforms: {}", .0.join(", "))]
    Platform(Vec<String>),
    /// The bundle would need a newer lfctl than the one that makes it.
    #[error("bundle is for lfctl {0} or later, which has to make it as well")]
    NewerLfctl(Version),
    /// The lock is for another platform.
    #[error("lock is for {found}, the bundle for {wanted}")]
    LockPlatform {
        /// Platform of the lock.
        found: String,
        /// Platform of the bundle.
        wanted: String,
    },
    /// The base is for another platform.
    #[error("base `{name}` is for {found}, the bundle for {wanted}")]
    BasePlatform {
        /// The base.
        name: String,
        /// Its platform.
        found: String,
        /// Platform of the bundle.
        wanted: String,
    },
    /// The lock does not know an image of the spec.
    #[error("lock does not name `{0}`")]
    NotLocked(String),
    /// A tag points at another image than the lock says.
    #[error("`{reference}` moved: it is now {found}, locked is {locked}")]
    Moved {
        /// The reference.
        reference: String,
        /// Digest in the lock.
        locked: Digest,
        /// Digest in the registry.
        found: Digest,
    },
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An image cannot be bundled.
    #[error("image `{reference}` cannot be bundled")]
    Image {
        /// The image.
        reference: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A layer is not what its image says.
    #[error("layer {digest} is not what its image says: {problem}")]
    Layer {
        /// The layer.
        digest: Digest,
        /// In what way.
        problem: String,
    },
    /// A layer is right, but its content cannot be listed.
    #[error("cannot read the packages in layer {digest}")]
    Scan {
        /// The layer.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bundle cannot be laid out or signed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file cannot be written.
    #[error("cannot write the bundle")]
    Write(#[source] io::Error),
    /// What was written does not verify.
    #[error("bundle did not verify after it was written")]
    Verify(#[source] OpenError),
    /// The bundle cannot be cut into parts.
    #[error("cannot cut the bundle into parts")]
    Parts(#[from] PartError),
    /// A worker thread died.
    #[error("a worker thread died")]
    Worker(#[from] tokio::task::JoinError),
}

/// Pulls, writes, signs and verifies a bundle.
pub async fn create(
    spec: &BundleSpec,
    options: &Options,
    key: &SecretKey,
    reporter: &dyn Reporter,
) -> Result<Created, CreateError> {
    let platform = platform(spec, options)?;
    let this = Version::parse(env!("CARGO_PKG_VERSION"));
    if this.is_ok_and(|this| spec.lfctl > this) {
        return Err(CreateError::NewerLfctl(spec.lfctl.clone()));
    }
    let registry = Registry::new(options.registry.clone())?;
    let (images, mut lock) = resolve(spec, options, &platform, &registry, reporter).await?;
    let sources = layers::sources(images.values());
    let delta = delta(options, &images, &platform, reporter)?;
    let planned = Planned::new(Contents {
        release: spec.release.clone(),
        created: options.created,
        platform,
        lfctl: spec.lfctl.clone(),
        upgrade: spec.upgrade.clone(),
        stack: spec.stack.clone(),
        images: images
            .into_iter()
            .map(|(key, (reference, image))| (key, (tagged(&reference), image)))
            .collect(),
        trust: spec.trust.clone(),
        delta,
        sbom: options.sbom,
    })?;
    let output = Output::create(options, planned.size())?;
    let partial = output.set();
    partial
        .reserve(planned.size())
        .map_err(CreateError::Write)?;
    let scan: Option<pipeline::Scan<LayerContent>> = options.sbom.then_some(sbom::scan);
    let (slots, absent) = (planned.slots(), planned.absent());
    let origin = layers::Origin {
        registry: &registry,
        sources: &sources,
        unpacked: &known_sizes(&lock, options, absent),
    };
    let stored = layers::pull(&origin, slots, absent, partial, scan, reporter).await?;
    let (mut unpacked, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for (digest, stored) in stored {
        unpacked.insert(digest, stored.unpacked);
        contents.extend(stored.scanned.map(|content| (digest, content)));
    }
    lock.layers.clone_from(&unpacked);
    let bom = options
        .sbom
        .then(|| Bom::of(planned.manifest(), &contents).to_json())
        .transpose()
        .map_err(LayoutError::Json)?;
    let signed = planned.seal(&unpacked, bom)?.sign(key)?;
    let receipt = finish(output, signed, key, options, reporter).await?;
    Ok(Created { receipt, lock })
}

/// What the base spares.
fn delta(
    options: &Options,
    images: &Resolved,
    platform: &Platform,
    reporter: &dyn Reporter,
) -> Result<Option<Delta>, CreateError> {
    let Some(base) = &options.base else {
        return Ok(None);
    };
    if base.platform != *platform {
        return Err(CreateError::BasePlatform {
            name: base.name.clone(),
            found: base.platform.to_string(),
            wanted: platform.to_string(),
        });
    }
    let delta = base.delta(images.values().map(|(_, image)| image));
    if delta.is_none() {
        notice(
            reporter,
            Level::Warning,
            "create.no-delta",
            format!(
                "{} has no layer of these images: the bundle is a full one",
                base.name
            ),
        );
    }
    Ok(delta)
}

/// Inflated bytes of layers that need not be inflated to know it.
fn known_sizes(lock: &Lock, options: &Options, absent: &[LayerSlot]) -> BTreeMap<Digest, u64> {
    let mut known = lock.layers.clone();
    if let Some(base) = &options.base {
        let sizes = absent.iter().filter_map(|slot| {
            let unpacked = base.unpacked.get(&slot.diff_id)?;
            Some((slot.digest, *unpacked))
        });
        known.extend(sizes);
    }
    known
}

/// Where the bytes go.
enum Output {
    Whole(PartialSet),
    Parts(PartWriter),
}

impl Output {
    fn create(options: &Options, size: u64) -> Result<Self, CreateError> {
        let target = options.output.clone();
        Ok(match options.split {
            None => Self::Whole(PartialSet::whole(&target).map_err(CreateError::Write)?),
            Some(part_size) => Self::Parts(PartWriter::create(Cut { target, part_size }, size)?),
        })
    }

    fn set(&self) -> &PartialSet {
        match self {
            Self::Whole(set) => set,
            Self::Parts(parts) => parts.set(),
        }
    }
}

fn platform(spec: &BundleSpec, options: &Options) -> Result<Platform, CreateError> {
    let offered = || CreateError::Platform(spec.platforms.clone());
    let chosen = match &options.platform {
        Some(wanted) => spec.platforms.iter().find(|one| *one == wanted),
        None => spec.platforms.first(),
    };
    Ok(parse_platform(chosen.ok_or_else(offered)?)?)
}

type Resolved = BTreeMap<String, (Reference, Image)>;

/// Finds the image behind each reference and holds it against the lock.
async fn resolve(
    spec: &BundleSpec,
    options: &Options,
    platform: &Platform,
    registry: &Registry,
    reporter: &dyn Reporter,
) -> Result<(Resolved, Lock), CreateError> {
    let distinct: BTreeSet<&String> = spec.images.values().collect();
    let progress = Step::sized(
        reporter,
        "resolve",
        "Resolving images",
        Some(distinct.len() as u64),
        Unit::Items,
    );
    if let Some(lock) = &options.lock
        && lock.platform != platform.to_string()
    {
        return Err(CreateError::LockPlatform {
            found: lock.platform.clone(),
            wanted: platform.to_string(),
        });
    }
    let mut found = BTreeMap::new();
    let mut pending = stream::iter(distinct)
        .map(|text| resolve_one(text, options.lock.as_ref(), platform, registry))
        .buffer_unordered(PARALLEL);
    while let Some((text, reference, image)) = pending.try_next().await? {
        found.insert(text, (reference, image));
        progress.progress(found.len() as u64);
    }
    drop(pending);
    progress.finish(Outcome::Done, Some(format!("{} images", found.len())));
    let lock = Lock {
        schema: lock::SCHEMA,
        platform: platform.to_string(),
        images: found
            .iter()
            .map(|(text, (_, image))| (text.clone(), Digest::of(&image.manifest)))
            .collect(),
        layers: options
            .lock
            .as_ref()
            .map(|lock| lock.layers.clone())
            .unwrap_or_default(),
    };
    let images = spec
        .images
        .iter()
        .filter_map(|(key, text)| Some((key.clone(), found.get(text)?.clone())))
        .collect();
    Ok((images, lock))
}

async fn resolve_one(
    text: &str,
    lock: Option<&Lock>,
    platform: &Platform,
    registry: &Registry,
) -> Result<(String, Reference, Image), CreateError> {
    let reference = parse_reference(text).map_err(|problem| SpecError::Reference {
        key: String::new(),
        reference: text.to_owned(),
        problem,
    })?;
    let locked = match lock {
        Some(lock) => Some(
            *lock
                .images
                .get(text)
                .ok_or_else(|| CreateError::NotLocked(text.to_owned()))?,
        ),
        None => None,
    };
    let resolved = registry
        .resolve(&reference, &platform.os, &platform.architecture)
        .await?;
    if let Some(locked) = locked
        && locked != resolved.digest
    {
        return Err(CreateError::Moved {
            reference: text.to_owned(),
            locked,
            found: resolved.digest,
        });
    }
    let unusable = |source| CreateError::Image {
        reference: text.to_owned(),
        source,
    };
    let (config, size) = config_of(&resolved.manifest).map_err(unusable)?;
    let config = registry.document(&reference, config, size).await?;
    let image = Image::parse(resolved.manifest, config).map_err(unusable)?;
    Ok((text.to_owned(), reference, image))
}

/// Writes the documents, opens the file as any reader would, verifies every
/// byte, and only then gives it its name.
async fn finish(
    output: Output,
    signed: Signed,
    key: &SecretKey,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Receipt, CreateError> {
    signed.write(output.set()).map_err(CreateError::Write)?;
    let file = output.set().span().map_err(CreateError::Write)?;
    let archive = Archive::over(file, &options.output);
    let files = output.set().files().map_err(CreateError::Write)?;
    let trusted = key.public().clone();
    let is_split = options.split.is_some();
    let (mut receipt, digests) = apart(reporter, move |reporter| {
        let receipt = verify(archive, trusted, reporter).map_err(CreateError::Verify)?;
        for (file, _) in &files {
            file.sync_all().map_err(CreateError::Write)?;
        }
        let digests = is_split.then(|| parts::digests(files, reporter));
        Ok::<_, CreateError>((receipt, digests.transpose()?))
    })
    .await??;
    match output {
        Output::Whole(set) => {
            set.finish().map_err(CreateError::Write)?;
        }
        Output::Parts(parts) => {
            let comment = trusted_comment(signed.manifest());
            let digests = digests.unwrap_or_default();
            receipt.file = parts.finish(digests, receipt.index, &comment, key)?;
        }
    }
    Ok(receipt)
}

fn verify(
    archive: Archive,
    key: TrustedKey,
    reporter: &dyn Reporter,
) -> Result<Receipt, OpenError> {
    UntrustedBundle::over(archive)?
        .verify(&TrustStore::of([key]))?
        .verify_blobs(reporter)
}
