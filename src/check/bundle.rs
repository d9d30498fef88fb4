//! The bundle that is about to be used.

use std::collections::BTreeMap;

use indicatif::HumanBytes;

use super::change::change;
use super::outcome::{Outcome, Unknown};
use crate::facts::Facts;
use crate::report::finding::Remedy;

/// Days after which there has long been a newer release.
const OLD_DAYS: i64 = 180;
const DAY: i64 = 24 * 60 * 60;
/// Images that are built reproducibly say 1970 or 1980, which is no date.
pub(super) const FIRST_DATE: i64 = 30 * 365 * DAY;

pub(super) fn incomplete(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let Some(base) = &change.manifest.base else {
        return Ok(Outcome::pass("the bundle leaves no layer out"));
    };
    // Images share layers.
    let layers: BTreeMap<_, _> = change.missing.iter().map(|one| (one.layer, one)).collect();
    if layers.is_empty() {
        return Ok(Outcome::pass(format!(
            "every layer that it leaves out is here; it builds on {}",
            base.name
        )));
    }
    let each: Vec<_> = layers
        .values()
        .map(|one| {
            let size = HumanBytes(one.size);
            format!("{} ({size}) of {}", one.layer, one.reference)
        })
        .collect();
    Ok(Outcome::blocking(
        format!(
            "the bundle builds on {} and leaves out {} layers that this host does not have",
            base.name,
            each.len()
        ),
        each.join("; "),
        Remedy::text(format!(
            "name a bundle that has them, such as that of {} ({}), with `--base BUNDLE`, or bring \
             a full bundle",
            base.name, base.digest
        )),
    ))
}

/// Nothing stops working for an old bundle: one that expired on a host without
/// a way to a newer one would be an outage.
pub(super) fn old(facts: &Facts) -> Result<Outcome, Unknown> {
    let created = change(facts)?.manifest.created;
    if created.as_second() < FIRST_DATE {
        return Ok(Outcome::not_applicable("its images carry no date"));
    }
    let days = (facts.now.as_second() - created.as_second()).div_euclid(DAY);
    let evidence = format!(
        "its newest image was made {}, this host says it is {}",
        created.strftime("%F"),
        facts.now.strftime("%F")
    );
    if days <= OLD_DAYS {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        format!("the bundle is {days} days old"),
        evidence,
        Remedy::text("ask its maker for the newest release: it has the security fixes"),
    ))
}
