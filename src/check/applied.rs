//! Whether what runs is what `site.toml` says.

use super::cause::broke_off;
use super::outcome::{Outcome, Unknown, want};
use super::remedy::apply;
use crate::engine::LABEL_CONFIG;
use crate::facts::Facts;

pub(super) fn applied(facts: &Facts) -> Result<Outcome, Unknown> {
    let (containers, wanted) = (want(&facts.containers)?, want(&facts.subject.wanted)?);
    if let Some(cause) = broke_off(facts) {
        return Err(Unknown::Beneath(cause));
    }
    let present: Vec<_> = wanted
        .iter()
        .filter_map(|(service, config)| Some((service.as_str(), config, containers.get(service)?)))
        .collect();
    let other: Vec<_> = present
        .iter()
        .filter(|(_, config, container)| container.labels.get(LABEL_CONFIG) != Some(config))
        .map(|(service, ..)| *service)
        .collect();
    if other.is_empty() {
        return Ok(Outcome::pass(format!(
            "{} containers are as they would be made now",
            present.len()
        )));
    }
    let mut evidence = format!("would be recreated: {}", other.join(", "));
    let here = env!("CARGO_PKG_VERSION");
    if let Some(lfctl) = facts.subject.lfctl.as_ref().filter(|lfctl| *lfctl != here) {
        evidence = format!("{evidence}; installed by lfctl {lfctl}, this is {here}");
    }
    Ok(Outcome::warning(
        "what runs is not what site.toml, its certificate and secrets.toml say now",
        evidence,
        apply(
            facts,
            "put the files back if they were changed by mistake; otherwise run this, which \
             recreates these services",
        ),
    ))
}
