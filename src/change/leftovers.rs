//! What the releases and the attempts before leave in the engine.

use std::collections::{BTreeMap, BTreeSet};

use super::bring_up::BringUp;
use super::error::ChangeError;
use super::plan::Plan;
use super::step::Step;
use crate::appliance::generation::{Generation, InstalledImage};
use crate::stack::Stack;

type Images = BTreeMap<String, InstalledImage>;

/// What is cleared up: behind the commit, and before anything is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Services that the new stack does not have.
    pub services: Vec<String>,
    /// Tags of images that neither the new nor the replaced generation uses.
    pub tags: Vec<String>,
    /// Tags of images that a change loaded which was never committed, and that
    /// no generation uses.
    pub staged: Vec<String>,
}

impl Leftovers {
    /// What is left when `target` has replaced `current`; `kept` are the images
    /// of both, `recorded` all generations on record, of which those above
    /// `committed` never ran.
    pub(super) fn of(
        current: &Stack,
        target: &Stack,
        kept: [&Images; 2],
        recorded: &[Generation],
        committed: u32,
    ) -> Self {
        let tags = |images: &Images| -> Vec<String> {
            let tags = images.values().flat_map(|image| image.tags.clone());
            tags.collect()
        };
        let kept: BTreeSet<_> = kept.into_iter().flat_map(tags).collect();
        let of = |ran: bool| -> BTreeSet<String> {
            let those = recorded
                .iter()
                .filter(|one| (one.number <= committed) == ran);
            those.flat_map(|one| tags(&one.images)).collect()
        };
        let old = of(true);
        let mut staged = of(false);
        staged.retain(|tag| !kept.contains(tag) && !old.contains(tag));
        Self {
            services: current
                .services
                .iter()
                .filter(|service| target.service(&service.name).is_none())
                .map(|service| service.name.clone())
                .collect(),
            tags: old.into_iter().filter(|tag| !kept.contains(tag)).collect(),
            staged: staged.into_iter().collect(),
        }
    }

    /// The steps that come before the record of what was loaded is written
    /// anew.
    pub(super) fn push_staged(&self, plan: &mut Plan<Step>) {
        for tag in &self.staged {
            plan.push(Step::RemoveStaged(tag.clone()), false);
        }
    }

    /// The steps that clear up behind the commit.
    pub fn push(&self, plan: &mut Plan<Step>) {
        for name in &self.services {
            plan.push(Step::RemoveService(name.clone()), false);
        }
        for tag in &self.tags {
            plan.push(Step::RemoveTag(tag.clone()), false);
        }
    }
}

impl<E> BringUp<'_, E> {
    /// What is left of what ran, and of attempts before it, once the target
    /// has replaced it.
    ///
    /// # Errors
    ///
    /// A record of a generation cannot be read.
    pub fn leftovers(&self) -> Result<Leftovers, ChangeError> {
        let Some(previous) = &self.previous else {
            return Ok(Leftovers::default());
        };
        Ok(Leftovers::of(
            &previous.stack,
            &self.target.stack,
            [&previous.images, &self.target.images],
            &self.appliance.generations()?,
            self.before.as_ref().map_or(0, |one| one.current.number),
        ))
    }
}
