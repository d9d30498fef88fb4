//! The plan of an install.

use super::observed::{Fit, Observed, Record};
use super::plan::{Estimate, Plan};
use super::step::Step;
use crate::appliance::journal::OnBreak;
use crate::stack::{Stack, Stage};

/// Bytes that an engine takes in a second on a slow disk.
const LOAD_RATE: u64 = 60 << 20;
/// Seconds that most migrations take on an empty database.
const MIGRATION: u64 = 20;

/// The plan that brings `stack` up from what was observed. A run that breaks
/// off is resumed: nothing served before.
pub fn plan(stack: &Stack, observed: &Observed) -> Plan<Step> {
    let mut plan = Plan::new("install", OnBreak::Resume);
    plan.push(Step::Intend, observed.record != Record::None);
    plan.push_with(
        Step::LoadImages,
        observed.images.values().all(|present| *present),
        loading(observed),
    );
    plan.push(Step::WriteSite, observed.site_written);
    plan.push(Step::WriteSecrets, observed.secrets_complete);
    for (name, exists) in &observed.networks {
        plan.push(Step::CreateNetwork(name.clone()), *exists);
    }
    for (name, exists) in &observed.volumes {
        plan.push(Step::CreateVolume(name.clone()), *exists);
    }
    push_stage(&mut plan, stack, Stage::Data, observed);
    // Volumes that were made anew hold no schema, whatever was recorded.
    let committed =
        observed.record == Record::Complete && observed.volumes.values().all(|exists| *exists);
    plan.push_with(Step::Migrate, committed, seconds(MIGRATION));
    plan.push(Step::CheckSchemas, committed);
    push_stage(&mut plan, stack, Stage::App, observed);
    push_stage(&mut plan, stack, Stage::Edge, observed);
    // What started anew must prove itself anew.
    let untouched = !observed.unfinished && plan.steps.iter().all(|planned| planned.done);
    plan.push(Step::ProbeVersion, untouched);
    plan.push_with(Step::ProbeEvent, untouched, seconds(5));
    plan.push(Step::Commit, untouched && committed);
    plan.push(Step::RecordRelease, untouched && observed.release_recorded);
    plan
}

fn loading(observed: &Observed) -> Estimate {
    let bytes: u64 = observed.needs.iter().map(|need| need.bytes).sum();
    Estimate {
        disk: observed.needs.clone(),
        seconds: Some(bytes.div_ceil(LOAD_RATE)),
        down: false,
    }
}

fn seconds(seconds: u64) -> Estimate {
    Estimate {
        seconds: Some(seconds),
        ..Estimate::default()
    }
}

fn push_stage(plan: &mut Plan<Step>, stack: &Stack, stage: Stage, observed: &Observed) {
    let fit = |name: &str| {
        let fit = observed.containers.get(name).copied();
        fit.unwrap_or(Fit::Wrong)
    };
    for service in stack.stage(stage) {
        let done = fit(&service.name) != Fit::Wrong;
        plan.push_with(Step::StartService(service.name.clone()), done, seconds(1));
    }
    for service in stack.stage(stage) {
        let done = fit(&service.name) == Fit::Healthy;
        let health = &service.health;
        let expected = seconds(health.start_period_seconds.min(30) + health.interval_seconds);
        plan.push_with(Step::AwaitHealthy(service.name.clone()), done, expected);
    }
}
