//! The plan of an install.

use super::observed::{Fit, Observed, Record};
use super::plan::{Estimate, Plan, Planned};
use super::step::Step;
use crate::appliance::journal::OnBreak;
use crate::stack::{Service, Stack, Stage};

/// Bytes that an engine takes in a second on a slow disk.
const LOAD_RATE: u64 = 60 << 20;
/// Seconds that most migrations take on an empty database.
pub(super) const MIGRATION: u64 = 20;

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
    plan.push(Step::CloseFirewall, observed.firewall_closed);
    for (name, exists) in &observed.volumes {
        plan.push(Step::CreateVolume(name.clone()), *exists);
    }
    push_stage(&mut plan, stack, Stage::Data, observed, &[]);
    // Volumes that were made anew hold no schema, whatever was recorded.
    let committed = observed.record == Record::Complete && observed.has_volumes();
    plan.push_with(Step::Migrate, committed, seconds(MIGRATION));
    plan.push(Step::CheckSchemas, committed);
    let first = plan.steps.len();
    push_stage(&mut plan, stack, Stage::App, observed, &[]);
    if !committed {
        for planned in &mut plan.steps[first..] {
            start_first(planned, stack, observed);
        }
    }
    push_stage(&mut plan, stack, Stage::Edge, observed, &[]);
    // What started anew must prove itself anew.
    let untouched = !observed.unfinished && plan.steps.iter().all(|planned| planned.done);
    plan.push(Step::ProbeVersion, untouched);
    plan.push_with(Step::ProbeEvent, untouched, seconds(5));
    if !committed {
        for service in stack.services.iter().filter(|one| has_first_start(one)) {
            let done = fit(observed, &service.name) == Fit::Healthy && observed.has_volumes();
            plan.push_with(Step::StartAgain(service.name.clone()), done, seconds(10));
        }
    }
    plan.push(Step::Commit, untouched && committed);
    for name in &observed.surplus_services {
        plan.push(Step::RemoveService(name.clone()), false);
    }
    push_surplus_networks(&mut plan, observed);
    plan.push(Step::RecordRelease, untouched && observed.release_recorded);
    plan
}

/// The steps that remove networks that nothing is on any more.
pub(super) fn push_surplus_networks(plan: &mut Plan<Step>, observed: &Observed) {
    for name in &observed.surplus_networks {
        plan.push(Step::RemoveNetwork(name.clone()), false);
    }
}

pub(super) fn loading(observed: &Observed) -> Estimate {
    let bytes: u64 = observed.needs.iter().map(|need| need.bytes).sum();
    Estimate {
        disk: observed.needs.clone(),
        seconds: Some(bytes.div_ceil(LOAD_RATE)),
        down: false,
    }
}

pub(super) fn seconds(seconds: u64) -> Estimate {
    Estimate {
        seconds: Some(seconds),
        ..Estimate::default()
    }
}

fn has_first_start(service: &Service) -> bool {
    !service.first_start_env.is_empty()
}

/// Makes of a step one on empty databases, for a service that makes something
/// then.
fn start_first(planned: &mut Planned<Step>, stack: &Stack, observed: &Observed) {
    let (Step::StartService(name) | Step::AwaitHealthy(name)) = &planned.step else {
        return;
    };
    if !stack.service(name).is_some_and(has_first_start) {
        return;
    }
    let first = observed.first_starts.get(name);
    let seen = first.copied().unwrap_or(Fit::Wrong);
    // One that was started again already has made what it makes.
    let again = fit(observed, name);
    let least = match planned.step {
        Step::StartService(_) => Fit::Running,
        _ => Fit::Healthy,
    };
    planned.done = seen <= least || (again <= least && observed.has_volumes());
    if let Step::StartService(name) = &planned.step {
        planned.step = Step::StartFirst(name.clone());
    }
}

fn fit(observed: &Observed, name: &str) -> Fit {
    let fit = observed.containers.get(name).copied();
    fit.unwrap_or(Fit::Wrong)
}

/// Starts the services of a stage, but those `without` it, and waits for them.
pub(super) fn push_stage(
    plan: &mut Plan<Step>,
    stack: &Stack,
    stage: Stage,
    observed: &Observed,
    without: &[&String],
) {
    let services = || {
        let all = stack.stage(stage);
        all.filter(|service| !without.contains(&&service.name))
    };
    for service in services() {
        let done = fit(observed, &service.name) != Fit::Wrong;
        plan.push_with(Step::StartService(service.name.clone()), done, seconds(1));
    }
    for service in services() {
        let done = fit(observed, &service.name) == Fit::Healthy;
        let health = &service.health;
        let expected = seconds(health.start_period_seconds.min(30) + health.interval_seconds);
        plan.push_with(Step::AwaitHealthy(service.name.clone()), done, expected);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::change::plan::{Phase, Step as _};
    use crate::fake::bundle::Fake;

    fn stack() -> Stack {
        Fake::small().unwrap().stack
    }

    /// An appliance that is installed and well.
    fn well() -> Observed {
        let fit = |name: &str| (name.to_owned(), Fit::Healthy);
        Observed {
            images: [("app".to_owned(), true), ("gateway".to_owned(), true)].into(),
            site_written: true,
            secrets_complete: true,
            firewall_closed: true,
            networks: [("a-internal".to_owned(), true), ("a-edge".to_owned(), true)].into(),
            volumes: [("a-store-data".to_owned(), true)].into(),
            containers: ["store", "web", "worker", "gateway"].map(fit).into(),
            surplus_services: BTreeSet::new(),
            surplus_networks: BTreeSet::new(),
            first_starts: BTreeMap::new(),
            record: Record::Complete,
            release_recorded: true,
            needs: Vec::new(),
            gateway: None,
            points: Vec::new(),
            is_other_site: false,
            unfinished: false,
        }
    }

    fn left(observed: &Observed) -> Vec<String> {
        let plan = plan(&stack(), observed);
        let left = plan.steps.iter().filter(|planned| !planned.done);
        left.map(|planned| planned.step.id()).collect()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn only_what_is_not_as_wanted_is_done_and_what_changed_proves_itself() {
        const PROOF: [&str; 2] = ["probe:version", "probe:event"];
        type Change = fn(&mut Observed);
        let cases: &[(&str, Change, &[&str])] = &[
            ("nothing", |_| {}, &[]),
            (
                "an image is gone",
                |o| {
                    o.images.insert("app".to_owned(), false);
                },
                &[
                    "load",
                    "probe:version",
                    "probe:event",
                    "commit",
                    "record-release",
                ],
            ),
            (
                "a container is gone",
                |o| {
                    o.containers.insert("web".to_owned(), Fit::Wrong);
                },
                &["start:web", "healthy:web"],
            ),
            (
                "a container is not healthy",
                |o| {
                    o.containers.insert("web".to_owned(), Fit::Running);
                },
                &["healthy:web"],
            ),
            (
                "a network is gone",
                |o| {
                    o.networks.insert("a-edge".to_owned(), false);
                },
                &["network:a-edge"],
            ),
            (
                "the volume is gone, and its schema with it",
                |o| {
                    o.volumes.insert("a-store-data".to_owned(), false);
                },
                &["volume:a-store-data", "migrate", "check-schemas"],
            ),
            (
                "the host's firewall was flushed",
                |o| o.firewall_closed = false,
                &["firewall"],
            ),
            (
                "site.toml changed",
                |o| o.site_written = false,
                &["write-site"],
            ),
            (
                "secrets are missing",
                |o| o.secrets_complete = false,
                &["write-secrets"],
            ),
            (
                "another run broke off",
                |o| o.unfinished = true,
                &["commit", "record-release"],
            ),
            (
                "the host forgot the release",
                |o| o.release_recorded = false,
                &["record-release"],
            ),
        ];
        for (case, change, wanted) in cases {
            let mut observed = well();
            change(&mut observed);
            let left = left(&observed);
            for step in *wanted {
                assert!(
                    left.iter().any(|id| id == step),
                    "{case}: {step} of {left:?}"
                );
            }
            let only_recorded = left == ["record-release"];
            let proves = PROOF.iter().all(|id| left.iter().any(|step| step == id));
            let nothing = left.is_empty() || only_recorded;
            assert_eq!(proves, !nothing, "{case}: {left:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_any_more_goes_behind_the_commit() {
        let mut observed = well();
        observed.site_written = false;
        observed.surplus_services.insert("egress".to_owned());
        observed.surplus_networks.insert("a-outside".to_owned());
        let ids = left(&observed);
        let at = |id: &str| ids.iter().position(|step| step == id).unwrap();
        assert!(at("commit") < at("remove:egress"), "{ids:?}");
        assert!(
            at("remove:egress") < at("remove-network:a-outside"),
            "{ids:?}"
        );
        // Also where only that is left of a run that broke off.
        observed.site_written = true;
        assert_eq!(
            left(&observed),
            ["remove:egress", "remove-network:a-outside"]
        );
    }

    #[test]
    fn web_holds_the_first_password_until_it_has_proven_itself_and_no_longer() {
        let web = |first, again| {
            let mut observed = well();
            observed.record = Record::Begun;
            observed.first_starts.insert("web".to_owned(), first);
            observed.containers.insert("web".to_owned(), again);
            left(&observed)
        };
        let has = |left: &[String], step: &str| left.iter().any(|id| id == step);
        // As a run left it that broke off: before it started, before it was
        // well, before it was started again, and after.
        let nothing = web(Fit::Wrong, Fit::Wrong);
        assert!(has(&nothing, "start-first:web") && has(&nothing, "start-again:web"));
        let started = web(Fit::Running, Fit::Wrong);
        assert!(!has(&started, "start-first:web") && has(&started, "healthy:web"));
        let proven = web(Fit::Healthy, Fit::Wrong);
        assert!(!has(&proven, "healthy:web") && has(&proven, "start-again:web"));
        let again = web(Fit::Wrong, Fit::Healthy);
        assert!(!has(&again, "start-first:web") && !has(&again, "start-again:web"));
        // Once installed, it is never given the password again.
        let mut observed = well();
        observed.containers.insert("web".to_owned(), Fit::Wrong);
        let left = left(&observed);
        assert!(has(&left, "start:web") && !has(&left, "start-again:web"));
    }

    #[test]
    fn a_new_host_gets_everything_in_order() {
        let mut observed = Observed::default();
        observed.volumes.insert("a-store-data".to_owned(), false);
        let ids = left(&observed);
        let at = |id: &str| ids.iter().position(|step| step == id).unwrap();
        assert_eq!(ids[0], "intend");
        for (first, then) in [
            ("write-secrets", "start:store"),
            ("healthy:store", "migrate"),
            ("migrate", "check-schemas"),
            ("check-schemas", "start-first:web"),
            ("start-first:web", "healthy:web"),
            ("firewall", "start:gateway"),
            ("healthy:web", "start:gateway"),
            ("healthy:gateway", "probe:version"),
            ("probe:event", "start-again:web"),
            ("start-again:web", "commit"),
            ("commit", "record-release"),
        ] {
            assert!(at(first) < at(then), "{first} before {then}: {ids:?}");
        }
        let phases: Vec<_> = plan(&stack(), &observed)
            .steps
            .iter()
            .map(|planned| planned.step.phase())
            .collect();
        assert!(phases.is_sorted(), "{phases:?}");
        assert_eq!(phases.last(), Some(&Phase::Settle));
    }
}
