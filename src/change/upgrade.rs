//! The plans of an upgrade and of a rollback.
//!
//! The databases are migrated while the old release serves; then each service
//! is replaced, and everything is proven before the commit. Until then a
//! failure puts the old containers back: the migrated schema serves them.

use std::collections::{BTreeMap, BTreeSet};

use super::install::{MIGRATION, loading, push_stage, seconds};
use super::observed::Observed;
use super::plan::{Estimate, Plan};
use super::step::Step;
use crate::appliance::generation::{Generation, InstalledImage};
use crate::appliance::journal::OnBreak;
use crate::stack::{Stack, Stage};

type Images = BTreeMap<String, InstalledImage>;

/// Seconds for which web is away while it is replaced.
const REPLACED: u64 = 15;

/// What is cleared up behind the commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Services that the new stack does not have.
    pub services: Vec<String>,
    /// Tags of images that neither the new nor the replaced generation uses.
    pub tags: Vec<String>,
}

impl Leftovers {
    /// What is left when `target` has replaced `current`; `kept` are the images
    /// of both, `older` all generations on record.
    pub fn of(current: &Stack, target: &Stack, kept: [&Images; 2], older: &[Generation]) -> Self {
        let tags = |images: &Images| -> Vec<String> {
            let tags = images.values().flat_map(|image| image.tags.clone());
            tags.collect()
        };
        let kept: Vec<_> = kept.into_iter().flat_map(tags).collect();
        let old: BTreeSet<_> = older.iter().flat_map(|one| tags(&one.images)).collect();
        Self {
            services: current
                .services
                .iter()
                .filter(|service| target.service(&service.name).is_none())
                .map(|service| service.name.clone())
                .collect(),
            tags: old.into_iter().filter(|tag| !kept.contains(tag)).collect(),
        }
    }

    /// The steps that clear it up.
    pub fn push(&self, plan: &mut Plan<Step>) {
        for name in &self.services {
            plan.push(Step::RemoveService(name.clone()), false);
        }
        for tag in &self.tags {
            plan.push(Step::RemoveTag(tag.clone()), false);
        }
    }
}

/// The plan that replaces the running release by `stack`. A run that breaks
/// off is undone.
pub fn plan(stack: &Stack, observed: &Observed, leftovers: &Leftovers) -> Plan<Step> {
    let mut plan = Plan::new("upgrade", OnBreak::Undo);
    plan.push(Step::StageGeneration, false);
    plan.push_with(
        Step::LoadImages,
        observed.images.values().all(|present| *present),
        loading(observed),
    );
    prepare(&mut plan, observed);
    push_stage(&mut plan, stack, Stage::Data, observed);
    plan.push_with(Step::Migrate, false, seconds(MIGRATION));
    plan.push(Step::CheckSchemas, false);
    switch(&mut plan, stack, observed, leftovers);
    plan.push(Step::RecordRelease, observed.release_recorded);
    plan
}

/// The plan that goes back to the generation before, whose images the engine
/// still has. Its schema is what the newer release left, which serves it too.
pub fn rollback(stack: &Stack, observed: &Observed, leftovers: &Leftovers) -> Plan<Step> {
    let mut plan = Plan::new("rollback", OnBreak::Undo);
    plan.push(Step::StageGeneration, false);
    prepare(&mut plan, observed);
    push_stage(&mut plan, stack, Stage::Data, observed);
    switch(&mut plan, stack, observed, leftovers);
    plan
}

fn prepare(plan: &mut Plan<Step>, observed: &Observed) {
    plan.push(Step::WriteSecrets, observed.secrets_complete);
    for (name, exists) in &observed.networks {
        plan.push(Step::CreateNetwork(name.clone()), *exists);
    }
    for (name, exists) in &observed.volumes {
        plan.push(Step::CreateVolume(name.clone()), *exists);
    }
}

fn switch(plan: &mut Plan<Step>, stack: &Stack, observed: &Observed, leftovers: &Leftovers) {
    plan.push(Step::WriteSite, observed.site_written);
    let begun = plan.steps.len();
    push_stage(plan, stack, Stage::App, observed);
    push_stage(plan, stack, Stage::Edge, observed);
    for planned in &mut plan.steps[begun..] {
        if matches!(planned.step, Step::StartService(_)) && !planned.done {
            planned.estimate = Estimate {
                down: true,
                ..seconds(REPLACED)
            };
        }
    }
    plan.push(Step::ProbeVersion, false);
    plan.push_with(Step::ProbeEvent, false, seconds(5));
    plan.push(Step::Commit, false);
    leftovers.push(plan);
}
