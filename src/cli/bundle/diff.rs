//! `lfctl bundle diff`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use indicatif::HumanBytes;

use crate::bundle::diff::{Difference, ImageDifference, diff};
use crate::bundle::open::Bundle;
use crate::bundle::sbom::{Bom, SbomError, recompute, stored};
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::open::{BundleArg, Depth, TrustArg};

/// Arguments of `lfctl bundle diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The older bundle
    old: PathBuf,
    /// The newer bundle
    new: PathBuf,
    /// Accept both bundles without checking who signed them
    #[arg(long)]
    insecure_skip_signature: bool,
    /// Look here too for parts of both bundles; may be repeated
    #[arg(long, value_name = "DIR")]
    parts_in: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArg,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (old, new) = (
            self.open(&self.old, context)?,
            self.open(&self.new, context)?,
        );
        let (had, has) = (bom(&old, context)?, bom(&new, context)?);
        let found = diff((old.manifest(), &had), (new.manifest(), &has));
        context.print(&found, &describe(&found))
    }

    fn open(&self, path: &std::path::Path, context: &Context) -> Result<Bundle, Failure> {
        let bundle = BundleArg {
            bundle: Some(path.to_owned()),
            insecure_skip_signature: self.insecure_skip_signature,
            parts_in: self.parts_in.clone(),
        };
        match self.trust.store(context)? {
            Some(store) => bundle.open_trusting(Some(&store), Depth::Head, context),
            None => bundle.open_at(Depth::Head, context),
        }
    }
}

fn bom(bundle: &Bundle, context: &Context) -> Result<Bom, Failure> {
    let bom = match stored(bundle)? {
        Some(document) => Bom::parse(&document).map_err(SbomError::from)?,
        None => recompute(bundle, context.reporter.as_ref())?,
    };
    Ok(bom)
}

fn describe(found: &Difference) -> String {
    let mut text = format!(
        "{} (counter {}) -> {} (counter {})\nto carry {}, shared {}\n",
        found.from,
        found.from.counter,
        found.to,
        found.to.counter,
        HumanBytes(found.carry_bytes),
        HumanBytes(found.shared_bytes),
    );
    for (key, image) in &found.images {
        describe_image(&mut text, key, image);
    }
    if found.images.is_empty() {
        text.push_str("no image differs\n");
    }
    text
}

fn describe_image(text: &mut String, key: &str, image: &ImageDifference) {
    const NONE: &str = "none";
    let bytes = |blobs: &[crate::bundle::manifest::Blob]| -> u64 {
        blobs.iter().map(|blob| blob.size).sum()
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{key}: {} -> {}\n  layers: {} come ({}), {} go ({})",
        image.from.as_deref().unwrap_or(NONE),
        image.to.as_deref().unwrap_or(NONE),
        image.layers_added.len(),
        HumanBytes(bytes(&image.layers_added)),
        image.layers_removed.len(),
        HumanBytes(bytes(&image.layers_removed)),
    );
    let join = |versions: &BTreeSet<String>| {
        versions
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    for one in &image.packages {
        let name = &one.package.name;
        let (from, to) = (join(&one.from), join(&one.to));
        let _ = match (from.is_empty(), to.is_empty()) {
            (true, _) => writeln!(text, "  + {name} {to}"),
            (_, true) => writeln!(text, "  - {name} {from}"),
            _ => writeln!(text, "  ~ {name} {from} -> {to}"),
        };
    }
}
