//! The shortest chain of upgrades from one release to another. Pure.
//!
//! Each bundle says from which versions it upgrades. An upgrade keeps the name
//! of the release and raises its counter, so a chain has no circle, and the
//! best way to each bundle is found in the order of counters.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::bundle::manifest::{UpgradeRules, UpgradeWay};
use crate::stack::release::{Release, SchemaChange};

/// A release that a bundle brings, and what may be upgraded to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The release.
    pub release: &'a Release,
    /// Its rules.
    pub rules: &'a UpgradeRules,
}

/// One upgrade of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Hop {
    /// Place of its bundle among those that were offered.
    #[serde(skip)]
    pub offer: usize,
    /// The release that it brings.
    pub release: Release,
    /// Whether the release before serves meanwhile.
    pub way: UpgradeWay,
    /// What it does to the databases.
    pub schema: SchemaChange,
    /// Why the chain stops here instead of going on to the next release at
    /// once; none for the last one.
    pub stop: Option<String>,
}

/// Why there is no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoChain {
    /// No bundle is of this line of releases.
    #[error("no bundle is of `{0}`, which runs")]
    OtherName(String),
    /// No bundle is of the version that was asked for.
    #[error("no bundle is of version {0}")]
    NoTarget(semver::Version),
    /// The target is older than what runs.
    #[error(
        "{target} is older than {running}, which runs, and lfctl never goes back to an older release"
    )]
    Older {
        /// Where to.
        target: String,
        /// What runs.
        running: String,
    },
    /// Something is missing between what can be reached and the target.
    #[error("these bundles do not lead from {from} to {target}: {why}")]
    Gap {
        /// The newest that can be reached.
        from: String,
        /// Where to.
        target: String,
        /// What the target asks for.
        why: String,
    },
}

/// The best way to an offer that is known so far.
#[derive(Clone, Copy)]
struct Best {
    hops: usize,
    cold: usize,
    before: Option<usize>,
}

/// The shortest chain from what runs to `version`, or to the newest release;
/// of several, the one that stands still least often. Empty if the target
/// runs.
///
/// # Errors
///
/// There is none.
pub fn shortest(
    running: &Release,
    offers: &[Offer<'_>],
    version: Option<&semver::Version>,
) -> Result<Vec<Hop>, NoChain> {
    let target = target(running, offers, version)?;
    let goal = offers[target].release;
    if goal.counter == running.counter && goal.version == running.version {
        return Ok(Vec::new());
    }
    if goal.counter <= running.counter {
        return Err(NoChain::Older {
            target: goal.to_string(),
            running: running.to_string(),
        });
    }
    let best = ways(running, offers);
    if best[target].is_none() {
        return Err(gap(running, offers, &best, target));
    }
    let mut order = Vec::new();
    let mut at = Some(target);
    while let Some(index) = at {
        order.push(index);
        at = best[index].and_then(|one| one.before);
    }
    order.reverse();
    Ok(hops(running, offers, &order))
}

fn target(
    running: &Release,
    offers: &[Offer<'_>],
    version: Option<&semver::Version>,
) -> Result<usize, NoChain> {
    let all = offers.iter().enumerate();
    let ours: Vec<_> = all
        .filter(|(_, offer)| offer.release.name == running.name)
        .collect();
    let wanted = ours
        .iter()
        .filter(|(_, offer)| version.is_none_or(|one| offer.release.version == *one));
    let newest = wanted.max_by_key(|(_, offer)| offer.release.counter);
    match (newest, version) {
        (Some((index, _)), _) => Ok(*index),
        (None, Some(version)) if !ours.is_empty() => Err(NoChain::NoTarget(version.clone())),
        (None, _) => Err(NoChain::OtherName(running.name.clone())),
    }
}

/// The best way to each offer; `None` where there is none.
fn ways(running: &Release, offers: &[Offer<'_>]) -> Vec<Option<Best>> {
    let mut order: Vec<_> = (0..offers.len()).collect();
    order.sort_by_key(|index| offers[*index].release.counter);
    let mut best = vec![None; offers.len()];
    for &index in &order {
        let offer = &offers[index];
        let start = Best {
            hops: 0,
            cold: 0,
            before: None,
        };
        let before = order.iter().filter_map(|one| {
            let known: Best = best[*one]?;
            let reached = Best {
                before: Some(*one),
                ..known
            };
            Some((offers[*one].release, reached))
        });
        let steps = std::iter::once((running, start)).chain(before);
        best[index] = steps
            .filter(|(release, _)| leads(release, offer))
            .map(|(release, known)| Best {
                hops: known.hops + 1,
                cold: known.cold + usize::from(how(release, offer).0 == UpgradeWay::Cold),
                before: known.before,
            })
            .min_by_key(|one| (one.hops, one.cold));
    }
    best
}

/// Whether one upgrade goes from a release to what a bundle brings.
fn leads(before: &Release, offer: &Offer<'_>) -> bool {
    let after = offer.release;
    // The same version made anew changes no database.
    before.name == after.name
        && before.counter < after.counter
        && (before.version == after.version || offer.rules.allow(&before.version))
}

/// What a hop is like. What the old release cannot work on stops it, whatever
/// the bundle says of the way.
fn how(before: &Release, offer: &Offer<'_>) -> (UpgradeWay, SchemaChange) {
    let (way, schema) = offer.rules.path(&before.version, &offer.release.version);
    match schema {
        SchemaChange::Destructive => (UpgradeWay::Cold, schema),
        SchemaChange::Additive => (way, schema),
    }
}

fn hops(running: &Release, offers: &[Offer<'_>], order: &[usize]) -> Vec<Hop> {
    let mut before = running;
    let mut hops = Vec::with_capacity(order.len());
    for (at, &index) in order.iter().enumerate() {
        let offer = &offers[index];
        let (way, schema) = how(before, offer);
        let next = order.get(at + 1).map(|next| &offers[*next]);
        hops.push(Hop {
            offer: index,
            release: offer.release.clone(),
            way,
            schema,
            stop: next.map(|next| refuses(next, before)),
        });
        before = offer.release;
    }
    hops
}

/// Why a bundle does not take the place of a release.
fn refuses(offer: &Offer<'_>, before: &Release) -> String {
    let ranges: Vec<_> = offer.rules.from.iter().map(ToString::to_string).collect();
    let from = match ranges.as_slice() {
        [] => "no release".to_owned(),
        ranges => ranges.join(" or "),
    };
    format!(
        "{} upgrades from {from}, and {} is not among them",
        offer.release.version, before.version
    )
}

fn gap(running: &Release, offers: &[Offer<'_>], best: &[Option<Best>], target: usize) -> NoChain {
    let goal = offers[target].release;
    let reached = offers
        .iter()
        .zip(best)
        .filter(|(offer, best)| best.is_some() && offer.release.counter < goal.counter);
    let furthest = reached
        .map(|(offer, _)| offer.release)
        .max_by_key(|release| release.counter)
        .unwrap_or(running);
    NoChain::Gap {
        from: furthest.to_string(),
        target: goal.to_string(),
        why: refuses(&offers[target], furthest),
    }
}
