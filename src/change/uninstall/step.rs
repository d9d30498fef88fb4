//! The steps of an uninstall.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::find::Removal;
use crate::appliance::journal::OnBreak;
use crate::change::plan::{Phase, Plan, Step as StepValue};

/// One step of an uninstall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", content = "of", rename_all = "kebab-case")]
pub enum Step {
    /// Remove the systemd units that lfctl wrote: a timer of what is gone fails every day.
    RemoveUnits(Vec<PathBuf>),
    /// Stop and remove a container, by engine name.
    RemoveContainer(String),
    /// Remove a network, by engine name.
    RemoveNetwork(String),
    /// Remove a tag from an image, and the image with its last tag.
    RemoveTag(String),
    /// Remove a volume with its data, by engine name.
    RemoveVolume(String),
    /// Write down that the appliance is uninstalled.
    RecordUninstalled,
    /// Remove secrets, configuration and state, the journal included.
    Purge,
}

impl StepValue for Step {
    fn id(&self) -> String {
        match self {
            Self::RemoveUnits(_) => "remove-units".to_owned(),
            Self::RemoveContainer(name) => format!("remove:{name}"),
            Self::RemoveNetwork(name) => format!("remove-network:{name}"),
            Self::RemoveTag(name) => format!("remove-image:{name}"),
            Self::RemoveVolume(name) => format!("remove-volume:{name}"),
            Self::RecordUninstalled => "record-uninstalled".to_owned(),
            Self::Purge => "purge".to_owned(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::RemoveUnits(_) => "remove systemd units".to_owned(),
            Self::RemoveContainer(name) => format!("remove {name}"),
            Self::RemoveNetwork(name) => format!("remove network {name}"),
            Self::RemoveTag(name) => format!("remove image {name}"),
            Self::RemoveVolume(name) => format!("remove volume {name} with its data"),
            Self::RecordUninstalled => "record that the appliance is uninstalled".to_owned(),
            Self::Purge => "remove secrets, configuration and state".to_owned(),
        }
    }

    fn phase(&self) -> Phase {
        Phase::Window
    }

    fn is_commit(&self) -> bool {
        matches!(self, Self::RecordUninstalled | Self::Purge)
    }

    fn ends_journal(&self) -> bool {
        matches!(self, Self::Purge)
    }
}

/// The plan that removes what was found. A run that breaks off is resumed.
/// `recorded` says whether there is a state to be changed.
pub fn plan(removal: &Removal, recorded: bool) -> Plan<Step> {
    let mut plan = Plan::new("uninstall", OnBreak::Resume);
    if !removal.units.is_empty() {
        plan.push(Step::RemoveUnits(removal.units.clone()), false);
    }
    let mut push = |names: &[String], step: fn(String) -> Step| {
        for name in names {
            plan.push(step(name.clone()), false);
        }
    };
    push(&removal.containers, Step::RemoveContainer);
    push(&removal.networks, Step::RemoveNetwork);
    push(&removal.tags, Step::RemoveTag);
    if removal.purge {
        push(&removal.volumes, Step::RemoveVolume);
        plan.push(Step::Purge, false);
    } else {
        plan.push(Step::RecordUninstalled, !recorded);
    }
    plan
}
