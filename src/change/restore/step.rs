//! The steps of a restore.

use serde::Serialize;

use crate::appliance::journal::OnBreak;
use crate::change::install;
use crate::change::observed::Observed;
use crate::change::plan::{Estimate, Phase, Plan, Planned, Step as StepValue};
use crate::change::step::Step as BringUpStep;
use crate::stack::{Stack, Stage, Store};

/// One step of a restore. A run that breaks off is begun anew: it removes what
/// it had restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", content = "of", rename_all = "kebab-case")]
pub enum Step {
    /// Stop and remove a container, by engine name.
    RemoveContainer(String),
    /// Remove a volume with its data, by engine name.
    RemoveVolume(String),
    /// Write the data of a store, by its kind.
    Fill(String),
    /// Compare rows and objects with the manifest.
    Compare,
    /// A step of an install.
    #[serde(untagged)]
    BringUp(BringUpStep),
}

impl StepValue for Step {
    fn id(&self) -> String {
        match self {
            Self::RemoveContainer(name) => format!("remove:{name}"),
            Self::RemoveVolume(name) => format!("remove-volume:{name}"),
            Self::Fill(store) => format!("fill:{store}"),
            Self::Compare => "compare".to_owned(),
            Self::BringUp(step) => step.id(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::RemoveContainer(name) => format!("remove {name}"),
            Self::RemoveVolume(name) => format!("remove volume {name} with its data"),
            Self::Fill(store) => format!("restore {store}"),
            Self::Compare => "compare rows and objects with the manifest".to_owned(),
            Self::BringUp(BringUpStep::WriteSecrets) => "write secrets".to_owned(),
            Self::BringUp(step) => step.label(),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::BringUp(step) => step.phase(),
            _ => Phase::Window,
        }
    }

    fn reports_itself(&self) -> bool {
        matches!(self, Self::BringUp(step) if step.reports_itself())
    }

    fn is_commit(&self) -> bool {
        matches!(self, Self::BringUp(step) if step.is_commit())
    }
}

/// What is in the way of a restore, by engine name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InTheWay {
    /// Containers in the order in which they end.
    pub containers: Vec<String>,
    pub volumes: Vec<String>,
}

/// The plan of a restore: everything is made anew, and each store is filled
/// before anything uses it. A run that breaks off is resumed.
pub fn plan(stack: &Stack, observed: &Observed, in_the_way: &InTheWay) -> Plan<Step> {
    // As on a host that has nothing but images, perhaps.
    let bare = Observed {
        images: observed.images.clone(),
        needs: observed.needs.clone(),
        networks: observed.networks.clone(),
        volumes: observed
            .volumes
            .keys()
            .map(|name| (name.clone(), false))
            .collect(),
        release_recorded: observed.release_recorded,
        ..Observed::default()
    };
    let mut plan = Plan::new("restore", OnBreak::Resume);
    for planned in install::plan(stack, &bare).steps {
        let Planned {
            step,
            done,
            estimate,
            ..
        } = planned;
        let is_first_of_window =
            step.phase() == Phase::Window && plan.steps.iter().all(|one| one.phase == Phase::Stage);
        if is_first_of_window {
            remove(&mut plan, in_the_way);
        }
        if let BringUpStep::StartService(name) = &step {
            fill(&mut plan, stack, |store| {
                reads_at_start(store) && store.service() == name
            });
        }
        // What was restored is migrated already.
        if step == BringUpStep::Migrate {
            fill(&mut plan, stack, |store| !reads_at_start(store));
            continue;
        }
        let is_before_app = matches!(&step, BringUpStep::StartService(name)
            if stack.service(name).is_some_and(|service| service.stage != Stage::Data));
        if is_before_app && !plan.steps.iter().any(|one| one.step == Step::Compare) {
            plan.push(Step::Compare, false);
        }
        plan.push_with(Step::BringUp(step), done, estimate);
    }
    plan
}

fn remove(plan: &mut Plan<Step>, in_the_way: &InTheWay) {
    for name in &in_the_way.containers {
        let estimate = Estimate {
            down: true,
            seconds: Some(1),
            ..Estimate::default()
        };
        plan.push_with(Step::RemoveContainer(name.clone()), false, estimate);
    }
    for name in &in_the_way.volumes {
        plan.push(Step::RemoveVolume(name.clone()), false);
    }
}

fn fill(plan: &mut Plan<Step>, stack: &Stack, wanted: impl Fn(&Store) -> bool) {
    let mut stores: Vec<_> = stack.stores.iter().filter(|store| wanted(store)).collect();
    stores.sort_by_key(|store| store.rank());
    for store in stores {
        plan.push(Step::Fill(store.name().to_owned()), false);
    }
}

/// Whether a server reads what is restored when it starts.
fn reads_at_start(store: &Store) -> bool {
    matches!(store, Store::Redis { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::spec::BundleSpec;

    #[test]
    fn every_store_is_filled_before_anything_uses_it_and_nothing_migrates() {
        let spec = include_str!("../../../bundles/rehearsal-1.toml");
        let stack = BundleSpec::parse(spec).unwrap().stack;
        let in_the_way = InTheWay {
            containers: vec!["a-web".to_owned()],
            volumes: vec!["a-data".to_owned()],
        };
        let plan = plan(&stack, &Observed::default(), &in_the_way);
        let ids: Vec<_> = plan.steps.iter().map(|one| one.step.id()).collect();
        let at = |id: &str| {
            ids.iter()
                .position(|one| one == id)
                .unwrap_or_else(|| panic!("{id}"))
        };
        for (first, then) in [
            ("load", "remove:a-web"),
            ("remove:a-web", "remove-volume:a-data"),
            ("remove-volume:a-data", "write-secrets"),
            ("write-secrets", "fill:redis"),
            ("fill:redis", "start:redis"),
            ("healthy:clickhouse", "fill:clickhouse"),
            ("healthy:postgres", "fill:postgres"),
            ("healthy:seaweedfs", "fill:blobs"),
            ("fill:postgres", "check-schemas"),
            ("fill:blobs", "compare"),
            ("compare", "start:worker"),
            ("probe:event", "commit"),
        ] {
            assert!(at(first) < at(then), "{first} before {then}: {ids:?}");
        }
        assert!(!ids.contains(&"migrate".to_owned()), "{ids:?}");
    }
}
