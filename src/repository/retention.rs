//! Which snapshots stay, and giving back the room of those that do not.

use jiff::Zoned;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{KeepOptions, LimitOption, PruneOptions, RepairIndexOptions};
use serde::{Deserialize, Serialize};

use super::Repository;
use super::error::{RepositoryError, Result};
use super::lock::{Lock, Sharing};
use super::snapshot::Snapshot;

/// How many snapshots to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeepRules {
    /// The newest ones.
    pub last: u32,
    /// The newest of each day, for so many days.
    pub daily: u32,
    /// The newest of each week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
}

/// A snapshot that must stay whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Its name, or the beginning of it.
    pub snapshot: String,
    /// Who needs it, such as "generation 4 would roll back to it".
    pub reason: String,
}

impl Needed {
    pub(super) fn is(&self, snapshot: &Snapshot) -> bool {
        !self.snapshot.is_empty() && snapshot.id.as_str().starts_with(&self.snapshot)
    }
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Retained {
    pub snapshot: Snapshot,
    /// Why it stays; empty if it goes.
    pub reasons: Vec<String>,
}

/// What a prune did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    /// Snapshots removed.
    pub snapshots: usize,
    /// Bytes of packs before.
    pub before: u64,
    /// Bytes of packs after.
    pub after: u64,
}

impl KeepRules {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn options(&self) -> KeepOptions {
        let some = |count: u32| (count > 0).then(|| i32::try_from(count).unwrap_or(i32::MAX));
        KeepOptions::default()
            .keep_last(some(self.last))
            .keep_daily(some(self.daily))
            .keep_weekly(some(self.weekly))
            .keep_monthly(some(self.monthly))
    }
}

impl Repository {
    /// What the rules would keep, newest first. Without any rule all stay.
    ///
    /// # Errors
    ///
    /// The snapshots cannot be read.
    pub fn retention(&self, rules: &KeepRules, needed: &[Needed]) -> Result<Vec<Retained>> {
        plan(self.snapshot_files()?, rules, needed, &Zoned::now())
    }

    /// Removes a snapshot, not yet its data: [`Repository::prune`] does that.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Needed`] if `needed` names it, or the repository is
    /// locked or cannot be written.
    pub fn remove_snapshot(&self, snapshot: &Snapshot, needed: &[Needed]) -> Result<()> {
        if let Some(needed) = needed.iter().find(|needed| needed.is(snapshot)) {
            return Err(RepositoryError::Needed {
                snapshot: snapshot.id.to_string(),
                reason: needed.reason.clone(),
            });
        }
        let _lock = Lock::acquire(&self.directory, &self.cipher, Sharing::Exclusive)?;
        self.delete_snapshot_file(snapshot)
    }

    /// Removes the snapshots that neither a rule nor `needed` keeps, and gives
    /// back the room that no snapshot needs any more.
    ///
    /// # Errors
    ///
    /// Somebody else works on the repository, or it cannot be written. Run
    /// again: what was removed stays removed, and no snapshot that stays lost
    /// anything.
    pub fn prune(&self, rules: &KeepRules, needed: &[Needed]) -> Result<Pruned> {
        let _lock = Lock::acquire(&self.directory, &self.cipher, Sharing::Exclusive)?;
        let mut pruned = Pruned {
            before: self.pack_bytes()?,
            ..Pruned::default()
        };
        for retained in self.retention(rules, needed)? {
            if retained.reasons.is_empty() {
                self.delete_snapshot_file(&retained.snapshot)?;
                pruned.snapshots += 1;
            }
        }
        let library = |error: Box<rustic_core::RusticError>| RepositoryError::from_library(&error);
        // Nobody else is here, so what is not needed can go at once.
        let options = PruneOptions::default()
            .instant_delete(true)
            .max_repack(LimitOption::Unlimited);
        let plan = self.library.prune_plan(&options).map_err(library)?;
        self.library.prune(&options, plan).map_err(library)?;
        pruned.after = self.pack_bytes()?;
        Ok(pruned)
    }

    /// Writes the index anew from the packs, after files of it were lost.
    ///
    /// # Errors
    ///
    /// Somebody else works on the repository, or it cannot be read or written.
    pub fn rebuild_index(&self) -> Result<()> {
        let _lock = Lock::acquire(&self.directory, &self.cipher, Sharing::Exclusive)?;
        self.library
            .repair_index(&RepairIndexOptions::default(), false)
            .map_err(|error| RepositoryError::from_library(&error))
    }

    fn pack_bytes(&self) -> Result<u64> {
        let packs = self.directory.list_files(rustic_core::FileType::Pack)?;
        Ok(packs.iter().map(|(_, size)| u64::from(*size)).sum())
    }
}

fn plan(
    files: Vec<SnapshotFile>,
    rules: &KeepRules,
    needed: &[Needed],
    now: &Zoned,
) -> Result<Vec<Retained>> {
    let judged: Vec<(Snapshot, Vec<String>)> = if rules.is_empty() {
        let all = files.into_iter().rev();
        all.map(|file| (file.into(), vec!["no rule".to_owned()]))
            .collect()
    } else {
        rules
            .options()
            .apply(files, now)
            .map_err(|error| RepositoryError::from_library(&error))?
            .into_iter()
            .map(|judged| {
                let reasons = if judged.keep {
                    judged.reasons
                } else {
                    Vec::new()
                };
                (judged.snapshot.into(), reasons)
            })
            .collect()
    };
    Ok(judged
        .into_iter()
        .map(|(snapshot, mut reasons)| {
            let wanted = needed.iter().filter(|needed| needed.is(&snapshot));
            reasons.extend(wanted.map(|needed| needed.reason.clone()));
            Retained { snapshot, reasons }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use rustic_core::{Id, SnapshotOptions};

    use super::*;

    /// Snapshots taken at noon of these days of November 2026.
    fn snapshots(days: &[i8]) -> Vec<SnapshotFile> {
        let mut files = Vec::new();
        for day in days {
            let time = jiff::civil::date(2026, 11, *day)
                .at(12, 0, 0, 0)
                .to_zoned(jiff::tz::TimeZone::UTC)
                .unwrap();
            let options = SnapshotOptions::default().time(Some(time));
            let mut file = options.to_snapshot().unwrap();
            file.id = Id::new([u8::try_from(*day).unwrap(); 32]).into();
            files.push(file);
        }
        files
    }

    fn kept(days: &[i8], rules: &KeepRules, needed: &[Needed]) -> Vec<i8> {
        plan(snapshots(days), rules, needed, &Zoned::now())
            .unwrap()
            .iter()
            .filter(|retained| !retained.reasons.is_empty())
            .map(|retained| retained.snapshot.time.day())
            .collect()
    }

    #[test]
    fn rules_keep_the_newest_of_each_span() {
        let days = [1, 2, 3, 9, 10, 20, 21, 22];
        let rules = |last, daily, weekly, monthly| KeepRules {
            last,
            daily,
            weekly,
            monthly,
        };
        assert_eq!(kept(&days, &rules(1, 0, 0, 0), &[]), [22]);
        assert_eq!(kept(&days, &rules(0, 3, 0, 0), &[]), [22, 21, 20]);
        assert_eq!(kept(&days, &rules(1, 0, 3, 0), &[]), [22, 10, 3]);
        // As with restic, the oldest fills a span that is not full yet.
        assert_eq!(kept(&days, &rules(0, 0, 0, 5), &[]), [22, 1]);
        assert_eq!(kept(&days, &KeepRules::default(), &[]).len(), 8);
    }

    #[test]
    fn what_is_needed_stays() {
        let rules = KeepRules {
            last: 1,
            ..KeepRules::default()
        };
        let needed = Needed {
            snapshot: "0202".to_owned(),
            reason: "generation 4 rolls back to it".to_owned(),
        };
        assert_eq!(kept(&[1, 2, 3], &rules, &[needed]), [3, 2]);
    }
}
