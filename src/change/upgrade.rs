//! The plans of an upgrade and of a rollback.
//!
//! The databases are migrated while the old release serves; then each service
//! is replaced, and everything is proven before the commit. Until then a
//! failure puts the old containers back: the migrated schema serves them. A
//! release that may not be served meanwhile stands still instead, behind a
//! closed gateway, and a failure puts its data back too.

use super::install::{MIGRATION, loading, push_stage, push_surplus_networks, seconds};
use super::leftovers::Leftovers;
use super::observed::{Fit, Gateway, Observed};
use super::plan::{Estimate, Plan};
use super::step::{Leads, PointOf, Step};
use super::stop;
use crate::appliance::journal::OnBreak;
use crate::stack::{Stack, Stage};

/// Seconds for which web is away while it is replaced.
const REPLACED: u64 = 15;

/// Seconds that a service takes to stop, and to come up.
const STOPPED: u64 = 2;
const STARTED: u64 = 8;
/// Bytes that are copied in a second on a slow disk.
const COPY_RATE: u64 = 100 << 20;

/// An upgrade during which the appliance stands still.
#[derive(Debug, Clone, Copy)]
pub struct Cold<'a> {
    /// What runs.
    pub previous: &'a Stack,
    pub generation: u32,
    /// What clients are told of its end.
    pub until: &'a str,
}

/// The plan that replaces the running release by `stack`. A run that breaks
/// off is undone.
pub fn plan(
    stack: &Stack,
    observed: &Observed,
    leftovers: &Leftovers,
    cold: Option<Cold<'_>>,
) -> Plan<Step> {
    let mut plan = Plan::new("upgrade", OnBreak::Undo);
    leftovers.push_staged(&mut plan);
    plan.push(Step::StageGeneration, false);
    plan.push_with(
        Step::LoadImages,
        observed.images.values().all(|present| *present),
        loading(observed),
    );
    if let Some(cold) = cold {
        stand_still(&mut plan, stack, observed, cold);
        leftovers.push(&mut plan);
        push_surplus_networks(&mut plan, observed);
        plan.push(Step::RecordRelease, observed.release_recorded);
        return plan;
    }
    prepare(&mut plan, observed);
    push_stage(&mut plan, stack, Stage::Data, observed, &[]);
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
    leftovers.push_staged(&mut plan);
    plan.push(Step::StageGeneration, false);
    prepare(&mut plan, observed);
    push_stage(&mut plan, stack, Stage::Data, observed, &[]);
    switch(&mut plan, stack, observed, leftovers);
    plan
}

/// The plan that brings another `site.toml` about, in the release that runs. A
/// run that breaks off is undone.
pub fn apply(stack: &Stack, observed: &Observed, leftovers: &Leftovers) -> Plan<Step> {
    let mut plan = Plan::new("apply", OnBreak::Undo);
    leftovers.push_staged(&mut plan);
    plan.push(Step::StageGeneration, false);
    prepare(&mut plan, observed);
    push_stage(&mut plan, stack, Stage::Data, observed, &[]);
    switch(&mut plan, stack, observed, leftovers);
    // A gateway that only gets other files reads them without closing its port.
    let gateway = &stack.langfuse.gateway;
    if observed.gateway.is_some_and(|gateway| gateway.stays) {
        let start = Step::StartService(gateway.clone());
        for planned in &mut plan.steps {
            if planned.step == start && !planned.done {
                planned.step = Step::Lead(Leads::Open);
                planned.estimate = seconds(1);
            }
        }
    }
    let proves = |step: &Step| {
        matches!(
            step,
            Step::RemoveStaged(_)
                | Step::StageGeneration
                | Step::ProbeVersion
                | Step::ProbeEvent
                | Step::Commit
        )
    };
    let mut others = plan.steps.iter().filter(|planned| !proves(&planned.step));
    if !observed.unfinished && !observed.is_other_site && others.all(|planned| planned.done) {
        for planned in &mut plan.steps {
            planned.done = true;
        }
    }
    plan
}

fn prepare(plan: &mut Plan<Step>, observed: &Observed) {
    plan.push(Step::WriteSecrets, observed.secrets_complete);
    for (name, exists) in &observed.networks {
        plan.push(Step::CreateNetwork(name.clone()), *exists);
    }
    plan.push(Step::CloseFirewall, observed.firewall_closed);
    for (name, exists) in &observed.volumes {
        plan.push(Step::CreateVolume(name.clone()), *exists);
    }
}

fn switch(plan: &mut Plan<Step>, stack: &Stack, observed: &Observed, leftovers: &Leftovers) {
    let web = &stack.langfuse.web;
    let fit = observed.containers.get(web);
    let web_stays = fit.is_some_and(|fit| *fit != Fit::Wrong);
    let turned = observed.gateway.filter(|gateway| gateway.web_fits);
    let beside = turned.filter(|_| !web_stays);
    match beside {
        Some(gateway) => roll(plan, stack, observed, gateway),
        None => replace(plan, stack, observed),
    }
    plan.push(Step::ProbeVersion, false);
    plan.push_with(Step::ProbeEvent, false, seconds(5));
    plan.push(Step::Commit, false);
    if beside.is_some() {
        plan.push_with(Step::Succeed(web.clone()), false, seconds(REPLACED));
    }
    leftovers.push(plan);
    push_surplus_networks(plan, observed);
}

/// Closes the gateway, stops everything behind it, keeps its data, and brings
/// the new release up and proves it before the gateway opens again.
fn stand_still(plan: &mut Plan<Step>, stack: &Stack, observed: &Observed, cold: Cold<'_>) {
    let begun = plan.steps.len();
    let closed = Leads::Closed(cold.until.to_owned());
    plan.push_with(Step::Lead(closed), false, seconds(1));
    let stage = |name: &str| cold.previous.service(name).map(|service| service.stage);
    for name in stop::order(cold.previous) {
        if stage(name) != Some(Stage::Edge) {
            plan.push_with(Step::StopService(name.to_owned()), false, seconds(STOPPED));
        }
    }
    let points = || {
        observed.points.iter().map(|point| PointOf {
            volume: point.volume.clone(),
            generation: cold.generation,
        })
    };
    for (point, volume) in points().zip(&observed.points) {
        let took = 1 + volume.bytes.unwrap_or(0) / COPY_RATE;
        plan.push_with(Step::MakePoint(point), false, seconds(took));
    }
    prepare(plan, observed);
    push_anew(plan, stack, Stage::Data);
    plan.push_with(Step::Migrate, false, seconds(MIGRATION));
    plan.push(Step::CheckSchemas, false);
    push_anew(plan, stack, Stage::App);
    plan.push(Step::WriteSite, observed.site_written);
    let closed = Leads::StillClosed(cold.until.to_owned());
    plan.push_with(Step::Lead(closed), false, seconds(1));
    let gateway = &stack.langfuse.gateway;
    push_stage(plan, stack, Stage::Edge, observed, &[gateway]);
    plan.push(Step::ProveVersion, false);
    plan.push_with(Step::ProveEvent, false, seconds(5));
    plan.push_with(Step::ProveUpdateCheck, false, seconds(1));
    plan.push(Step::Commit, false);
    plan.push_with(Step::Lead(Leads::Open), false, seconds(1));
    for planned in &mut plan.steps[begun..] {
        planned.estimate.down = true;
    }
    for point in points() {
        plan.push(Step::DropPoint(point), false);
    }
}

/// Starts the services of a stage of which nothing runs, and waits for them.
fn push_anew(plan: &mut Plan<Step>, stack: &Stack, stage: Stage) {
    for service in stack.stage(stage) {
        plan.push_with(Step::StartAnew(service.name.clone()), false, seconds(1));
    }
    for (index, service) in stack.stage(stage).enumerate() {
        // They come up side by side.
        let expected = if index == 0 { STARTED } else { 1 };
        plan.push_with(
            Step::AwaitHealthy(service.name.clone()),
            false,
            seconds(expected),
        );
    }
}

/// Starts the new web beside the old one, proves it, and turns the gateway.
fn roll(plan: &mut Plan<Step>, stack: &Stack, observed: &Observed, turned: Gateway) {
    let (web, gateway) = (&stack.langfuse.web, &stack.langfuse.gateway);
    plan.push_with(Step::StartBeside(web.clone()), false, seconds(1));
    plan.push_with(Step::AwaitBeside(web.clone()), false, seconds(REPLACED));
    plan.push(Step::Lead(Leads::Prove), false);
    plan.push(Step::ProveVersion, false);
    plan.push_with(Step::ProveEvent, false, seconds(5));
    plan.push_with(Step::ProveUpdateCheck, false, seconds(1));
    plan.push(Step::WriteSite, observed.site_written);
    let turn = Estimate {
        down: !turned.stays,
        ..seconds(if turned.stays { 1 } else { REPLACED })
    };
    plan.push_with(Step::Lead(Leads::Open), false, turn);
    push_stage(plan, stack, Stage::App, observed, &[web]);
    push_stage(plan, stack, Stage::Edge, observed, &[gateway]);
}

/// Replaces one service after the other where it stands.
fn replace(plan: &mut Plan<Step>, stack: &Stack, observed: &Observed) {
    plan.push(Step::WriteSite, observed.site_written);
    let begun = plan.steps.len();
    push_stage(plan, stack, Stage::App, observed, &[]);
    push_stage(plan, stack, Stage::Edge, observed, &[]);
    for planned in &mut plan.steps[begun..] {
        if matches!(planned.step, Step::StartService(_)) && !planned.done {
            planned.estimate = Estimate {
                down: true,
                ..seconds(REPLACED)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::plan::Step as _;
    use crate::fake::bundle::Fake;

    #[test]
    fn a_gateway_that_gets_a_certificate_alone_reads_it_where_it_stands() {
        let stack = Fake::small().unwrap().stack;
        let fit = |name: &str, fit| (name.to_owned(), fit);
        let mut observed = Observed {
            site_written: true,
            secrets_complete: true,
            firewall_closed: true,
            containers: ["store", "web", "worker"]
                .map(|name| fit(name, Fit::Healthy))
                .into(),
            gateway: Some(Gateway {
                stays: true,
                web_fits: true,
            }),
            ..Observed::default()
        };
        observed.containers.extend([fit("gateway", Fit::Wrong)]);
        let left = |observed: &Observed| -> Vec<_> {
            let plan = apply(&stack, observed, &Leftovers::default());
            let left = plan.steps.iter().filter(|planned| !planned.done);
            left.map(|planned| planned.step.id()).collect()
        };
        let ids = left(&observed);
        assert!(ids.contains(&"gateway:open".to_owned()), "{ids:?}");
        assert!(!ids.contains(&"start:gateway".to_owned()), "{ids:?}");
        // One that was made otherwise is made anew.
        observed.gateway = None;
        let ids = left(&observed);
        assert!(ids.contains(&"start:gateway".to_owned()), "{ids:?}");
        observed.containers.extend([fit("gateway", Fit::Healthy)]);
        assert_eq!(left(&observed), [""; 0]);
        // Another text alone is a generation too.
        observed.is_other_site = true;
        assert!(left(&observed).contains(&"commit".to_owned()));
    }
}
