//! `lfctl bundle`: make, verify and look into bundles.

mod countersign;
#[cfg(feature = "pull")]
mod create;
mod diff;
mod load;
mod sbom;
mod split;

#[cfg(test)]
pub(super) use countersign::Countersigned;
#[cfg(test)]
pub(super) use split::Parted;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::bundle::Receipt;
use crate::bundle::manifest::BundleManifest;
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::open::{Depth, SignedBundleArgs};
use crate::oci::digest::Digest;
use crate::sign::KeyId;
use crate::sys::fs::{read_bounded, write_atomically};
use crate::sys::versioned::{self, Versioned as _};

/// Subcommands of `lfctl bundle`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Pull the images of a spec and write a signed bundle; needs no engine
    #[cfg(feature = "pull")]
    Create(create::Args),
    /// Check the signature and every byte, and print a receipt
    Verify(VerifyArgs),
    /// Show what a bundle holds, after checking its signature
    Inspect(InspectArgs),
    /// Print the list of packages in the images, as `CycloneDX` JSON
    Sbom(sbom::Args),
    /// Show what changes from one bundle to another
    Diff(diff::Args),
    /// Cut a bundle into parts for smaller media, with a signed list
    Split(split::Args),
    /// Load the images into the engine and nothing else
    Load(load::Args),
    /// Sign a bundle that another key has signed, after checking every byte
    Sign(countersign::Args),
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "pull")]
            Self::Create(_) => "bundle create",
            Self::Verify(_) => "bundle verify",
            Self::Inspect(_) => "bundle inspect",
            Self::Load(_) => "bundle load",
            Self::Split(_) => "bundle split",
            Self::Sbom(_) => "bundle sbom",
            Self::Diff(_) => "bundle diff",
            Self::Sign(_) => "bundle sign",
        }
    }

    /// Whether `--json` means a stream of events.
    pub(super) fn streams(&self) -> bool {
        match self {
            #[cfg(feature = "pull")]
            Self::Create(_) => true,
            Self::Load(_) => true,
            Self::Verify(_)
            | Self::Inspect(_)
            | Self::Split(_)
            | Self::Sbom(_)
            | Self::Diff(_)
            | Self::Sign(_) => false,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "pull")]
            Self::Create(args) => args.run(context).await,
            Self::Verify(args) => args.run(context),
            Self::Inspect(args) => args.run(context),
            Self::Load(args) => Box::pin(args.run(context)).await,
            Self::Split(args) => args.run(context).await,
            Self::Sbom(args) => args.run(context),
            Self::Diff(args) => args.run(context),
            Self::Sign(args) => args.run(context),
        }
    }
}

/// Arguments of `lfctl bundle verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub(super) bundle: SignedBundleArgs,
    /// Write the receipt to this file too; as JSON with --json or when it ends in `.json`
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

impl VerifyArgs {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(file) = &self.receipt {
            begin_receipt(file)?;
        }
        let bundle = self.bundle.open(Depth::Bytes, context)?;
        let receipt = bundle.verify_blobs(context.reporter.as_ref())?;
        if let Some(file) = &self.receipt {
            let is_json = context.json || file.extension().is_some_and(|end| end == "json");
            let text = if is_json {
                serde_json::to_string_pretty(&receipt).map_err(std::io::Error::from)?
            } else {
                receipt.to_string()
            };
            write_atomically(file, (text + "\n").as_bytes(), 0o644)?;
        }
        context.print(&receipt, &receipt.to_string())
    }
}

/// Takes away the receipt of an earlier run, which must not pass for one of
/// this run should it fail. Only what looks like a receipt goes.
fn begin_receipt(file: &Path) -> Result<(), Failure> {
    let known = match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if known.is_file() {
        let is_receipt = |text: &[u8]| {
            text.is_empty()
                || text.starts_with(b"bundle      ")
                || versioned::parse::<Receipt>(file, text).is_ok()
        };
        match read_bounded(file, Receipt::LIMIT) {
            Ok(text) if is_receipt(&text) => return Ok(fs::remove_file(file)?),
            Err(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    Err(Failure::new(
        Kind::Usage,
        format!("`{}` is not a receipt, so it is kept", file.display()),
    )
    .hint("name a file that is not there yet with `--receipt FILE`"))
}

/// Arguments of `lfctl bundle inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    #[command(flatten)]
    bundle: SignedBundleArgs,
}

/// What `inspect` prints as JSON.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Inspection<'a> {
    size: u64,
    index: Digest,
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(test, schemars(default))]
    countersigned_by: &'a [KeyId],
    unpacked_bytes: u64,
    /// Described in `docs/bundle.md`.
    #[cfg_attr(
        test,
        schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")
    )]
    manifest: &'a BundleManifest,
}

impl InspectArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let bundle = self.bundle.open(Depth::Head, context)?;
        let inspection = Inspection {
            size: bundle.size(),
            index: bundle.digest(),
            key_id: bundle.key_id(),
            countersigned_by: bundle.signers().get(1..).unwrap_or_default(),
            unpacked_bytes: bundle.manifest().unpacked_bytes(),
            manifest: bundle.manifest(),
        };
        context.print(&inspection, &describe(&inspection))
    }
}

fn describe(inspection: &Inspection<'_>) -> String {
    let manifest = inspection.manifest;
    let mut signer = inspection
        .key_id
        .map_or_else(|| "NOT CHECKED".to_owned(), |key| format!("key {key}"));
    for key in inspection.countersigned_by {
        let _ = write!(signer, ", key {key}");
    }
    let from: Vec<_> = manifest
        .upgrade
        .from
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut text = format!(
        "release     {} (counter {})\ncreated     {}\nplatform    {}\nneeds       lfctl {} or later\n\
         upgrades    {}\nsigned by   {signer}\nindex       {}\nsize        {} ({} unpacked)\n",
        manifest.release,
        manifest.release.counter,
        manifest.created,
        manifest.platform,
        manifest.lfctl,
        if from.is_empty() {
            "from no release".to_owned()
        } else {
            format!("from {}", from.join(", "))
        },
        inspection.index,
        HumanBytes(inspection.size),
        HumanBytes(inspection.unpacked_bytes),
    );
    if let Some(base) = &manifest.base {
        let bytes = base.absent.iter().map(|blob| blob.size).sum();
        let _ = writeln!(
            text,
            "left out    {} layers ({}), which {} has",
            base.absent.len(),
            HumanBytes(bytes),
            base.name
        );
    }
    text.push_str("\nimages\n");
    for (key, image) in &manifest.images {
        let bytes = image.layers.iter().map(|layer| layer.size).sum();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {key:<12} {} ({} layers, {})\n  {:<12} {}",
            image.reference,
            image.layers.len(),
            HumanBytes(bytes),
            "",
            image.manifest,
        );
    }
    text
}
