//! Making a bundle out of images, wherever they are.
//!
//! One pass: manifests and configs are read, the file is laid out and its
//! room reserved, and each layer goes straight to its final offset, while it
//! is hashed and inflated to check what the image says of it. Nothing is
//! stored twice, and nothing that looks finished exists before the bundle was
//! opened again and verified.

mod content;
mod error;
mod layers;
mod options;
mod output;
mod pipeline;
mod resolve;
mod resume;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use indicatif::HumanBytes;
use semver::Version;

pub use self::error::CreateError;
use self::error::of_image;
pub use self::options::{ImagesFrom, Options};
use self::output::{Output, Written};
use self::resolve::{Resolved, resolve};
use self::resume::Marks;
pub use self::resume::kept;
use self::source::Source;
use super::documents::trusted_comment;
use super::layout::{Contents, Delta, LayerSlot, Planned, Unsigned};
use super::lock::Locked;
use super::manifest::Platform;
use super::receipt::Receipt;
use super::sbom::{self, LayerContent};
use super::spec::{BundleSpec, parse_platform, tagged};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, notice};
use crate::sign::SecretKey;
use crate::stack::Schema;

/// A finished bundle.
#[derive(Debug)]
pub struct Created {
    /// What was verified when it was opened again.
    pub receipt: Receipt,
    /// Platform of its images, such as `linux/amd64`.
    pub platform: String,
    /// What the references stood for.
    pub lock: Locked,
}

/// Room that is reserved for the list of packages before anything is pulled,
/// as a part of the layers. Real images need less; where it is too little,
/// the disk may fill up later, and what was pulled stays.
const SBOM_SHARE: u64 = 2048;

/// Pulls, writes, signs and verifies a bundle.
pub async fn create(
    spec: &BundleSpec,
    options: &Options,
    key: &SecretKey,
    reporter: &dyn Reporter,
) -> Result<Created, CreateError> {
    check(spec, options)?;
    let target = platform(spec, options)?;
    let platform = target.to_string();
    let source = Source::open(options, spec, reporter).await?;
    let (images, mut lock) = resolve(spec, options, &target, &source, reporter).await?;
    content::fit(spec, &images, reporter);
    let sources = layers::sources(images.values());
    let delta = delta(options, &images, &target, reporter)?;
    let planned = Planned::new(contents(spec, options, target, images, delta))?;
    let output = Output::reopen(options, planned.size())?;
    let marks = Marks::open(
        output.set(),
        &options.output,
        planned.slots(),
        options.split,
    );
    let marks = Arc::new(marks.map_err(CreateError::Write)?);
    if !marks.go_on() {
        output.discard_other(options)?;
    }
    let known = known_sizes(&lock, options, planned.absent());
    let origin = layers::Origin {
        source: &source,
        sources: &sources,
        unpacked: &known,
    };
    let filled = fill(planned, &origin, &output, &marks, options, reporter).await;
    let checked = match filled {
        Ok(filled) => {
            lock.layers = filled.unpacked;
            let signed = filled.sealed.sign(key)?;
            let written = Written {
                signed: &signed,
                sums: filled.sums,
                key: key.public().clone(),
            };
            let checked = output.write_and_check(written, options, reporter).await;
            checked.map(|checked| (signed, checked))
        }
        Err(error) => Err(error),
    };
    // What was pulled is of use once it can be gone on with.
    if checked.as_ref().is_err_and(|error| !error.can_go_on()) {
        marks.discard().map_err(CreateError::Write)?;
    }
    let (signed, checked) = checked?;
    let receipt = output.finish(checked, &trusted_comment(signed.manifest()), key)?;
    marks.discard().map_err(CreateError::Write)?;
    Ok(Created {
        receipt,
        platform,
        lock,
    })
}

/// Fails now for what would only show at the end.
fn check(spec: &BundleSpec, options: &Options) -> Result<(), CreateError> {
    let this = Version::parse(env!("CARGO_PKG_VERSION"));
    if this.is_ok_and(|this| spec.lfctl > this) {
        return Err(CreateError::NewerLfctl(spec.lfctl.clone()));
    }
    if let Some(split) = output::split_options(options) {
        split.check(0)?;
    }
    Ok(())
}

fn contents(
    spec: &BundleSpec,
    options: &Options,
    platform: Platform,
    images: Resolved,
    delta: Option<Delta>,
) -> Contents {
    Contents {
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
    }
}

/// A bundle whose layers are in their place.
struct Filled {
    sealed: Unsigned,
    /// Inflated bytes of each layer.
    unpacked: BTreeMap<Digest, u64>,
    /// CRC-32 of each layer that has a place.
    sums: BTreeMap<Digest, u32>,
}

async fn fill(
    mut planned: Planned,
    origin: &layers::Origin<'_>,
    output: &Output,
    marks: &Arc<Marks>,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Filled, CreateError> {
    let sbom = planned.size() / SBOM_SHARE;
    output.reserve(planned.size() + if options.sbom { sbom } else { 0 })?;
    let is_open = planned.stack().schemas.iter().any(Schema::is_open);
    let scan: Option<pipeline::Scan<LayerContent>> =
        (options.sbom || is_open).then_some(sbom::scan);
    let partial = output.set();
    let stored = layers::pull(origin, &planned, partial, marks, scan, reporter).await?;
    let (mut unpacked, mut contents) = (BTreeMap::new(), BTreeMap::new());
    let mut sums = BTreeMap::new();
    for (digest, stored) in stored {
        if let Some(size) = stored.is_swollen(planned.slots(), &digest) {
            let image = origin.sources.get(&digest).map(tagged);
            let text = format!(
                "layer {digest}{} inflates from {} to {}: every host that loads it needs that room",
                of_image(&image.unwrap_or_default()),
                HumanBytes(size),
                HumanBytes(stored.unpacked),
            );
            notice(reporter, Level::Warning, "create.layer-inflates", text);
        }
        unpacked.insert(digest, stored.unpacked);
        sums.extend(stored.sum.map(|sum| (digest, sum)));
        contents.extend(stored.scanned.map(|content| (digest, content)));
    }
    if scan.is_some() {
        content::migrations(&mut planned, &contents, reporter)?;
    }
    let bom = options
        .sbom
        .then(|| content::packages(&planned, &contents, reporter))
        .transpose()?;
    let sealed = planned.seal(&unpacked, bom)?;
    // Nobody knew how large the SBOM would be.
    output.reserve(sealed.size())?;
    Ok(Filled {
        sealed,
        unpacked,
        sums,
    })
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
fn known_sizes(lock: &Locked, options: &Options, absent: &[LayerSlot]) -> BTreeMap<Digest, u64> {
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

fn platform(spec: &BundleSpec, options: &Options) -> Result<Platform, CreateError> {
    let offered = || CreateError::Platform(spec.platforms.clone());
    let chosen = match &options.platform {
        Some(wanted) => spec.platforms.iter().find(|one| *one == wanted),
        None => spec.platforms.first(),
    };
    Ok(parse_platform(chosen.ok_or_else(offered)?)?)
}
