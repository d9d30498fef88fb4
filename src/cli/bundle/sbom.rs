//! `lfctl bundle sbom`.

use crate::bundle::sbom::{SbomError, recompute, stored};
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::open::{Depth, SignedBundleArgs};

/// Arguments of `lfctl bundle sbom`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: SignedBundleArgs,
    /// Read the packages from the layers again, and fail if the bundle differs
    #[arg(long)]
    recompute: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let depth = if self.recompute {
            Depth::Bytes
        } else {
            Depth::Head
        };
        let bundle = self.bundle.open(depth, context)?;
        let inside = stored(&bundle)?;
        let document = match &inside {
            Some(document) if !self.recompute => document.clone(),
            _ => {
                let bom = recompute(&bundle, context.reporter.as_ref())?;
                bom.to_json().map_err(SbomError::from)?
            }
        };
        let same = inside.is_none_or(|inside| inside == document);
        let value: serde_json::Value =
            serde_json::from_slice(&document).map_err(SbomError::from)?;
        let text = serde_json::to_string_pretty(&value).map_err(SbomError::from)?;
        context.print(&value, &text)?;
        if same {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Failed,
            "the list of packages in the bundle is not what its layers hold",
        )
        .hint("the one printed was read from the layers; another lfctl may have made the other"))
    }
}
