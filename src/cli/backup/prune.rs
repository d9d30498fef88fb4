//! `lfctl backup prune`: removes snapshots that no rule keeps.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use super::repository::RepositoryArg;
use crate::appliance::backup::Records;
use crate::cli::Context;
use crate::cli::args::NameArg;
use crate::cli::failure::{Failure, Kind};
use crate::host::audit::{self, NewEntry};
use crate::repository::{KeepRules, Needed, Retained};

/// Arguments of `lfctl backup prune`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    repository: RepositoryArg,
    #[command(flatten)]
    name: NameArg,
    /// Keep the newest N snapshots
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_last: u32,
    /// Keep the newest snapshot of each day, for N days
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_daily: u32,
    /// Keep the newest snapshot of each week, for N weeks
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_weekly: u32,
    /// Keep the newest snapshot of each month, for N months
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_monthly: u32,
    /// Print which snapshots stay, and remove none
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let rules = KeepRules {
            last: self.keep_last,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
        };
        if rules == KeepRules::default() {
            return Err(
                Failure::new(Kind::Usage, "no option says which snapshots to keep").hint(
                    "such as `lfctl backup prune --keep-daily 7 --keep-weekly 4 --keep-monthly 6`",
                ),
            );
        }
        let repository = self.repository.open(&appliance)?;
        let last = Records::load(&appliance)?.backup;
        let needed: Vec<Needed> = last
            .into_iter()
            .map(|last| Needed {
                snapshot: last.snapshot,
                reason: "the last backup of this host".to_owned(),
            })
            .collect();
        if self.dry_run {
            let judged = repository.retention(&rules, &needed)?;
            return context.print(&judged, &text(&judged));
        }
        let _lock = appliance.lock()?;
        let pruned = repository.prune(&rules, &needed)?;
        let text = format!(
            "{} snapshots removed; {} before, {} after",
            pruned.snapshots,
            HumanBytes(pruned.before),
            HumanBytes(pruned.after)
        );
        let entry = NewEntry {
            command: "backup prune".to_owned(),
            bundle: None,
            key: None,
            result: text.clone(),
        };
        audit::append(&appliance.audit_log(), entry)?;
        context.print(&pruned, &text)
    }
}

fn text(judged: &[Retained]) -> String {
    let mut text = String::new();
    for one in judged {
        let what = if one.reasons.is_empty() {
            "goes".to_owned()
        } else {
            format!("stays: {}", one.reasons.join(", "))
        };
        let time = one.snapshot.time.timestamp();
        let _ = writeln!(text, "{}  {time:.0}  {what}", one.snapshot.id);
    }
    text
}
