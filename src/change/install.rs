//! The plan of an install.

use super::observed::{Fit, Observed, Record};
use super::plan::{Estimate, Plan};
use super::step::Step;
use crate::appliance::journal::OnBreak;
use crate::stack::{Stack, Stage};

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

pub(super) fn push_stage(plan: &mut Plan<Step>, stack: &Stack, stage: Stage, observed: &Observed) {
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

#[cfg(test)]
mod tests {
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
            networks: [("a-internal".to_owned(), true), ("a-edge".to_owned(), true)].into(),
            volumes: [("a-store-data".to_owned(), true)].into(),
            containers: ["store", "web", "worker", "gateway"].map(fit).into(),
            record: Record::Complete,
            release_recorded: true,
            needs: Vec::new(),
            unfinished: false,
        }
    }

    fn left(observed: &Observed) -> Vec<String> {
        let plan = plan(&stack(), observed);
        let left = plan.steps.iter().filter(|planned| !planned.done);
        left.map(|planned| planned.step.id()).collect()
    }

    #[test]
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
                "a container is not well",
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
            ("check-schemas", "start:web"),
            ("healthy:web", "start:gateway"),
            ("healthy:gateway", "probe:version"),
            ("probe:event", "commit"),
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
