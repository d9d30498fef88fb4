//! `lfctl backup verify`: reads every byte of a repository again.

use std::fmt::Write as _;
use std::path::PathBuf;

use indicatif::HumanBytes;
use serde::Serialize;

use super::repository::RepositoryArg;
use crate::cli::Context;
use crate::cli::args::NameArg;
use crate::cli::failure::{Failure, Kind};
use crate::repository::{Damage, Verified};

/// Arguments of `lfctl backup verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    repository: RepositoryArg,
    #[command(flatten)]
    name: NameArg,
}

/// What was read, and what is wrong with it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Shown {
    packs: u64,
    bytes: u64,
    /// Files of snapshots that were looked up.
    files: u64,
    /// Files of the repository that are damaged or missing.
    damaged: Vec<Damage>,
    /// Files of snapshots that cannot be restored whole.
    missing: Vec<PathBuf>,
    /// Ids of the snapshots that they belong to.
    broken_snapshots: Vec<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let repository = self.repository.open(&appliance)?;
        let verified = repository.verify(|_, _| {})?;
        let broken = verified.broken.iter().map(|one| one.id.as_str().to_owned());
        let document = Shown {
            packs: verified.packs,
            bytes: verified.bytes,
            files: verified.files,
            damaged: verified.damaged.clone(),
            missing: verified.lost.clone(),
            broken_snapshots: broken.collect(),
        };
        context.print(&document, &text(&verified))?;
        if verified.is_whole() {
            return Ok(());
        }
        let path = repository.path().display();
        Err(Failure::new(
            Kind::Failed,
            format!("the repository in `{path}` is damaged"),
        )
        .hint("snapshots that are not named above can be restored; back up into another directory"))
    }
}

fn text(verified: &Verified) -> String {
    let mut text = format!(
        "{} packs, {}, {} files read again\n",
        verified.packs,
        HumanBytes(verified.bytes),
        verified.files
    );
    for damage in &verified.damaged {
        let _ = writeln!(text, "damaged: {}: {}", damage.path.display(), damage.what);
    }
    for path in &verified.lost {
        let _ = writeln!(text, "missing: {}", path.display());
    }
    for snapshot in &verified.broken {
        let _ = writeln!(text, "snapshot {} is not whole", snapshot.id);
    }
    text
}
