//! The plans that stop, start and restart what is installed.
//!
//! Services end in the order in which requests reach them, and start in the
//! opposite one, each stage healthy before the next.

use std::collections::{BTreeMap, BTreeSet};

use super::install::seconds;
use super::observed::Fit;
use super::plan::{Estimate, Plan};
use super::step::Step;
use super::stop;
use crate::appliance::journal::OnBreak;
use crate::engine::{ContainerState, HealthState};
use crate::facts::existing::Existing;
use crate::stack::{Service, Stack, Stage};

const STAGES: [Stage; 3] = [Stage::Data, Stage::App, Stage::Edge];

/// What is asked for, and what is there.
#[derive(Debug, Clone, Copy)]
pub struct Power<'a> {
    /// The definition of what is installed.
    pub stack: &'a Stack,
    /// Its networks by engine name, and whether each exists.
    pub networks: &'a BTreeMap<String, bool>,
    /// Nothing is left to do to the host's firewall.
    pub firewall_closed: bool,
    /// How each of its services stands.
    pub standing: &'a BTreeMap<String, Fit>,
    /// The services; none means all of them.
    pub named: &'a BTreeSet<String>,
    /// Services that were stopped on purpose until now.
    pub stopped: &'a BTreeSet<String>,
}

/// How each service stands that has a container, however it is defined.
pub fn standing(existing: &Existing) -> BTreeMap<String, Fit> {
    let containers = existing.containers.iter();
    containers
        .map(|(service, container)| {
            let fit = match (container.state, container.health) {
                (ContainerState::Running, Some(HealthState::Healthy)) => Fit::Healthy,
                (ContainerState::Running, _) => Fit::Running,
                _ => Fit::Wrong,
            };
            (service.clone(), fit)
        })
        .collect()
}

impl Power<'_> {
    /// The plan that stops the services. A run that breaks off is resumed.
    pub fn stop(&self) -> Plan<Step> {
        let mut plan = Plan::new("stop", OnBreak::Resume);
        self.push_stops(&mut plan);
        let named = self.stack.services.iter().filter(|one| self.is_named(one));
        let stopped = named.map(|service| service.name.clone());
        self.push_record(&mut plan, self.stopped.iter().cloned().chain(stopped));
        plan
    }

    /// The plan that starts the services, and those below them that are down.
    /// A run that breaks off is resumed.
    pub fn start(&self) -> Plan<Step> {
        let mut plan = Plan::new("start", OnBreak::Resume);
        let wanted = self.with_what_they_need();
        self.push_starts(&mut plan, &wanted, false);
        let stopped = self.stopped.difference(&wanted).cloned();
        self.push_record(&mut plan, stopped);
        plan
    }

    /// The plan that stops the services and starts them again. A run that
    /// breaks off is undone: they start.
    pub fn restart(&self) -> Plan<Step> {
        let mut plan = Plan::new("restart", OnBreak::Undo);
        self.push_stops(&mut plan);
        let wanted = self.with_what_they_need();
        self.push_starts(&mut plan, &wanted, true);
        let stopped = self.stopped.difference(&wanted).cloned();
        self.push_record(&mut plan, stopped);
        plan
    }

    fn is_named(&self, service: &Service) -> bool {
        self.named.is_empty() || self.named.contains(&service.name)
    }

    fn stands(&self, service: &str, least: Fit) -> bool {
        let fit = self.standing.get(service);
        fit.is_some_and(|fit| *fit <= least)
    }

    /// The named services, and every one of the stages below them.
    fn with_what_they_need(&self) -> BTreeSet<String> {
        let highest = STAGES.into_iter().rposition(|stage| {
            let mut services = self.stack.stage(stage);
            services.any(|service| self.is_named(service))
        });
        let below = STAGES.into_iter().take(highest.unwrap_or_default());
        let below = below.flat_map(|stage| self.stack.stage(stage));
        let named = self.stack.services.iter().filter(|one| self.is_named(one));
        below.chain(named).map(|one| one.name.clone()).collect()
    }

    fn push_stops(&self, plan: &mut Plan<Step>) {
        for name in stop::order(self.stack) {
            let service = self.stack.service(name);
            if !service.is_some_and(|service| self.is_named(service)) {
                continue;
            }
            let estimate = Estimate {
                down: true,
                ..seconds(2)
            };
            plan.push_with(
                Step::StopService(name.to_owned()),
                !self.stands(name, Fit::Running),
                estimate,
            );
        }
    }

    /// `again` says that the named ones were stopped by the steps before.
    fn push_starts(&self, plan: &mut Plan<Step>, wanted: &BTreeSet<String>, again: bool) {
        for (name, exists) in self.networks {
            if !exists {
                plan.push(Step::CreateNetwork(name.clone()), false);
            }
        }
        plan.push(Step::CloseFirewall, self.firewall_closed);
        for stage in STAGES {
            let services = || {
                let all = self.stack.stage(stage);
                all.filter(|service| wanted.contains(&service.name))
            };
            for service in services() {
                let (name, is_stopped) = (&service.name, again && self.is_named(service));
                let estimate = Estimate {
                    down: true,
                    ..seconds(1)
                };
                let done = !is_stopped && self.stands(name, Fit::Running);
                plan.push_with(Step::StartKept(name.clone()), done, estimate);
            }
            for service in services() {
                let (name, is_stopped) = (&service.name, again && self.is_named(service));
                let health = &service.health;
                let estimate = Estimate {
                    down: true,
                    ..seconds(health.start_period_seconds.min(30) + health.interval_seconds)
                };
                let done = !is_stopped && self.stands(name, Fit::Healthy);
                plan.push_with(Step::AwaitHealthy(name.clone()), done, estimate);
            }
        }
    }

    fn push_record(&self, plan: &mut Plan<Step>, stopped: impl Iterator<Item = String>) {
        let stopped: BTreeSet<_> = stopped.collect();
        let done = stopped == *self.stopped;
        plan.push(Step::RecordStopped(stopped), done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::plan::Step as _;
    use crate::fake::bundle::Fake;

    fn left(plan: &Plan<Step>) -> Vec<String> {
        let left = plan.steps.iter().filter(|planned| !planned.done);
        left.map(|planned| planned.step.id()).collect()
    }

    fn power(named: &[&str], stopped: &[&str], plan: fn(&Power<'_>) -> Plan<Step>) -> Vec<String> {
        let stack = Fake::small().unwrap().stack;
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let (named, stopped): (BTreeSet<_>, BTreeSet<_>) = (set(named), set(stopped));
        let standing = |one: &Service| {
            let fit = if stopped.contains(&one.name) {
                Fit::Wrong
            } else {
                Fit::Healthy
            };
            (one.name.clone(), fit)
        };
        left(&plan(&Power {
            stack: &stack,
            networks: &[("a-internal".to_owned(), true)].into(),
            firewall_closed: true,
            standing: &stack.services.iter().map(standing).collect(),
            named: &named,
            stopped: &stopped,
        }))
    }

    fn stop(power: &Power<'_>) -> Plan<Step> {
        power.stop()
    }

    fn start(power: &Power<'_>) -> Plan<Step> {
        power.start()
    }

    fn restart(power: &Power<'_>) -> Plan<Step> {
        power.restart()
    }

    #[test]
    fn what_takes_requests_ends_first_and_starts_last() {
        let stopped = power(&[], &[], stop);
        assert_eq!(
            stopped,
            [
                "stop:gateway",
                "stop:worker",
                "stop:web",
                "stop:store",
                "record-stopped"
            ]
        );
        let all = ["gateway", "store", "web", "worker"];
        let started = power(&[], &all, start);
        assert_eq!(
            started,
            [
                "start:store",
                "healthy:store",
                "start:web",
                "start:worker",
                "healthy:web",
                "healthy:worker",
                "start:gateway",
                "healthy:gateway",
                "record-stopped"
            ]
        );
    }

    #[test]
    fn a_start_closes_the_firewall_that_a_reboot_opened() {
        let open = |power: &Power<'_>| {
            let firewall_closed = false;
            Power {
                firewall_closed,
                ..*power
            }
            .start()
        };
        assert_eq!(power(&[], &[], open), ["firewall"]);
        let steps = power(&["gateway"], &["gateway"], open);
        assert_eq!(steps[..2], ["firewall", "start:gateway"]);
    }

    #[test]
    fn a_named_service_alone_is_touched_but_for_what_it_needs() {
        assert_eq!(
            power(&["worker"], &[], stop),
            ["stop:worker", "record-stopped"]
        );
        assert_eq!(
            power(&["web"], &["web", "store"], start),
            [
                "start:store",
                "healthy:store",
                "start:web",
                "healthy:web",
                "record-stopped"
            ]
        );
        assert_eq!(
            power(&["worker"], &[], restart),
            ["stop:worker", "start:worker", "healthy:worker"]
        );
        assert_eq!(power(&["web"], &["worker"], start), [""; 0]);
    }
}
