//! `lfctl plan`: which bundles to bring, and in which order.

use std::fmt::Write;
use std::path::PathBuf;

use comfy_table::{Table, TableStyle};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::Context;
use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::installed::installed;
use super::open::{BundleArg, Depth, TrustArg};
use crate::bundle::chain::{self, Hop, NoChain, Offer};
use crate::bundle::manifest::UpgradeWay;
use crate::bundle::open::Bundle;
use crate::stack::release::{Release, SchemaChange};

/// Arguments of `lfctl plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundles that you have
    #[arg(value_name = "BUNDLE", required = true)]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    name: NameArg,
    /// The version to reach; without it, the newest of the bundles
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Plan for another host: FILE holds what `lfctl history --json` printed there
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    history: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArg,
    /// Accept the bundles without checking who signed them
    #[arg(long)]
    insecure_skip_signature: bool,
    /// Look here as well for the parts of bundles and for signatures of them; may be repeated
    #[arg(long, value_name = "DIR")]
    parts_in: Vec<PathBuf>,
}

/// A chain of upgrades.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Planned {
    /// What runs.
    from: Release,
    /// The upgrades, in their order; none if the target runs.
    hops: Vec<PlannedHop>,
    /// Bundles that are not part of it.
    unneeded: Vec<PathBuf>,
}

/// One upgrade, and what it is made with.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
struct PlannedHop {
    #[serde(flatten)]
    hop: Hop,
    /// File of the bundle.
    bundle: PathBuf,
    /// What a delta bundle builds on; none for a full bundle.
    base: Option<String>,
}

/// What is read of `lfctl history --json`.
#[derive(Deserialize)]
struct Row {
    release: Release,
    current: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let from = self.running(context)?;
        let bundles = self.open(context)?;
        let offers: Vec<_> = bundles
            .iter()
            .map(|bundle| Offer {
                release: &bundle.manifest().release,
                rules: &bundle.manifest().upgrade,
            })
            .collect();
        let hops =
            chain::shortest(&from, &offers, self.to.as_ref()).map_err(|error| none(&error))?;
        let planned = self.planned(from, hops, &bundles);
        context.print(&planned, &text(&planned))
    }

    /// What runs here, or on the host of the history.
    fn running(&self, context: &Context) -> Result<Release, Failure> {
        let Some(file) = &self.history else {
            let appliance = self.name.appliance(context)?;
            let here = installed(&appliance).map_err(|failure| {
                failure.hint(
                    "on another machine, name what `lfctl history --json` printed on the host: \
                     `--history FILE`",
                )
            })?;
            return Ok(here.current.release.clone());
        };
        let rows: Vec<Row> = serde_json::from_slice(&fs_err::read(file)?)
            .map_err(|error| not_history(file).cause(error.to_string()))?;
        let current = rows.into_iter().find(|row| row.current);
        Ok(current.ok_or_else(|| not_history(file))?.release)
    }

    fn open(&self, context: &Context) -> Result<Vec<Bundle>, Failure> {
        let store = match self.trust.store(context)? {
            _ if self.insecure_skip_signature => None,
            Some(store) => Some(store),
            None => Some(context.trust_store()?),
        };
        let open = |path: &PathBuf| {
            let bundle = BundleArg {
                bundle: Some(path.clone()),
                insecure_skip_signature: self.insecure_skip_signature,
                parts_in: self.parts_in.clone(),
            };
            bundle.open_trusting(store.as_ref(), Depth::Head, context)
        };
        self.bundles.iter().map(open).collect()
    }

    fn planned(&self, from: Release, hops: Vec<Hop>, bundles: &[Bundle]) -> Planned {
        let is_used = |at: usize| hops.iter().any(|hop| hop.offer == at);
        let all = self.bundles.iter().enumerate();
        let unneeded = all
            .filter(|(at, _)| !is_used(*at))
            .map(|(_, path)| path.clone())
            .collect();
        let hops = hops.into_iter().map(|hop| {
            let base = bundles[hop.offer].manifest().base.as_ref();
            PlannedHop {
                bundle: self.bundles[hop.offer].clone(),
                base: base.map(|base| base.name.clone()),
                hop,
            }
        });
        Planned {
            from,
            hops: hops.collect(),
            unneeded,
        }
    }
}

fn not_history(file: &std::path::Path) -> Failure {
    let message = format!(
        "`{}` is not what `lfctl history --json` prints",
        file.display()
    );
    Failure::new(Kind::Failed, message).hint("run `lfctl history --json` on the host")
}

fn none(error: &NoChain) -> Failure {
    let failure = Failure::from_error(Kind::Blocked, error);
    match error {
        NoChain::Gap { .. } => failure
            .hint("bring the bundle of a release between them too, and name it beside the others"),
        NoChain::Older { .. } => {
            failure.hint("`lfctl rollback` goes back to the generation before the last upgrade")
        }
        NoChain::OtherName(_) | NoChain::NoTarget(_) => {
            failure.hint("`lfctl bundle inspect BUNDLE` shows what a bundle holds")
        }
    }
}

fn text(planned: &Planned) -> String {
    let from = &planned.from;
    let mut text = match planned.hops.last() {
        None => format!("{from} runs already: nothing to upgrade\n"),
        Some(last) => format!(
            "{from} runs; upgrades to {}: {}\n",
            last.hop.release.version,
            planned.hops.len()
        ),
    };
    if !planned.hops.is_empty() {
        let mut table = Table::new();
        table
            .load_style(TableStyle::new())
            .set_header(["", "release", "way", "schema", "bundle"]);
        for (at, one) in planned.hops.iter().enumerate() {
            table.add_row([
                (at + 1).to_string(),
                one.hop.release.version.to_string(),
                way(one.hop.way).to_owned(),
                schema(one.hop.schema).to_owned(),
                one.bundle.display().to_string(),
            ]);
        }
        let _ = writeln!(text, "{table}");
    }
    for one in &planned.hops {
        let version = &one.hop.release.version;
        if let Some(why) = &one.hop.stop {
            let _ = writeln!(text, "{version} is a required stop: {why}");
        }
        if let Some(base) = &one.base {
            let _ = writeln!(
                text,
                "{version} comes as a delta, and needs the layers of {base}"
            );
        }
        if one.hop.schema == SchemaChange::Destructive {
            let _ = writeln!(
                text,
                "after {version} there is no `lfctl rollback`: make a backup before it"
            );
        }
    }
    for path in &planned.unneeded {
        let _ = writeln!(text, "not needed: {}", path.display());
    }
    text
}

fn way(way: UpgradeWay) -> &'static str {
    match way {
        UpgradeWay::Rolling => "rolling",
        UpgradeWay::Cold => "cold",
    }
}

fn schema(schema: SchemaChange) -> &'static str {
    match schema {
        SchemaChange::Additive => "additive",
        SchemaChange::Destructive => "destructive",
    }
}
