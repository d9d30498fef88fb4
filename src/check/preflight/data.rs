//! The data of an appliance: whether it is there, whole, and the one that was
//! recorded. What is refused here could not be undone later.

use super::{Inputs, finding};
use crate::appliance::state::{State, Status};
use crate::report::finding::{Finding, Remedy, Severity};

pub(super) fn examine(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let name = inputs.appliance;
    let volumes = &inputs.existing.volumes;
    let volumes_exist = volumes.values().any(|exists| *exists);
    if inputs.existing.unrecorded {
        findings.push(finding(
            "appliance.not-recorded",
            Severity::Blocking,
            format!("the engine holds parts of an appliance `{name}` that lfctl has no record of"),
            "objects with its label, and no state.json",
            Remedy::text(
                "run lfctl as the user, and with the `--root`, that installed it, or choose \
                 another name with `--name`",
            ),
        ));
        return;
    }
    if let Some(state) = inputs.state {
        recorded(inputs, state, findings);
    }
    if volumes_exist && !inputs.secrets_exist {
        findings.push(finding(
            "appliance.data-without-secrets",
            Severity::Blocking,
            format!("volumes of `{name}` hold data, and the secrets to read it are missing"),
            "secrets.toml does not exist",
            Remedy::command(
                "put secrets.toml back from your backup, or remove the data for good",
                format!("lfctl uninstall --name {name} --purge"),
            ),
        ));
    }
    for object in &inputs.existing.foreign {
        findings.push(finding(
            "engine.foreign-object",
            Severity::Blocking,
            format!("{object} exists and was not made by lfctl for `{name}`"),
            "it does not carry the label of this appliance",
            Remedy::text(format!(
                "choose another name with `--name`, or remove {object} yourself if it is not \
                 needed"
            )),
        ));
    }
}

/// Holds what is there against what was recorded.
fn recorded(inputs: &Inputs<'_>, state: &State, findings: &mut Vec<Finding>) {
    let (name, wanted) = (inputs.appliance, &inputs.manifest.release);
    let volumes = &inputs.existing.volumes;
    let volumes_exist = volumes.values().any(|exists| *exists);
    if state.engine != inputs.engine.kind {
        findings.push(finding(
            "appliance.other-engine",
            Severity::Blocking,
            format!(
                "`{name}` lives in {}, and this is {}",
                state.engine, inputs.engine.kind
            ),
            format!("socket {}", inputs.engine.socket),
            Remedy::text(format!(
                "start {0} and run again with `--engine {0}`",
                state.engine
            )),
        ));
        // What is missing here is not lost.
        return;
    }
    if let Some(place) = state.elsewhere(inputs.engine)
        && !inputs.existing.holds_any()
    {
        findings.push(finding(
            "appliance.other-engine",
            Severity::Blocking,
            format!("`{name}` lives in another {}", state.engine),
            format!(
                "that keeps its data in {}, this one in {}, and holds nothing of `{name}`",
                place.data_root, inputs.engine.data_root
            ),
            Remedy::text(format!(
                "run again with `--engine unix://{}`; if that engine is gone for good, forget the \
                 appliance with `lfctl uninstall --name {name} --purge --without-record`",
                place.socket
            )),
        ));
        return;
    }
    if state.release.version != wanted.version && state.status != Status::Installed && volumes_exist
    {
        findings.push(finding(
            "appliance.data-of-other-release",
            Severity::Blocking,
            format!("the data of `{name}` belongs to {}", state.release),
            format!("this bundle holds {wanted}, whose migrations could not be undone"),
            Remedy::text(format!("install the bundle of {}", state.release)),
        ));
    }
    let missing: Vec<_> = volumes
        .iter()
        .filter(|(_, exists)| !**exists)
        .map(|(volume, _)| volume.as_str())
        .collect();
    if state.holds_data && !missing.is_empty() {
        findings.push(finding(
            "appliance.data-missing",
            Severity::Blocking,
            format!("volumes of `{name}`, which held its data, are gone"),
            missing.join(", "),
            Remedy::command(
                "restore them, or begin anew without the data",
                format!("lfctl uninstall --name {name} --purge"),
            ),
        ));
    }
    let changed: Vec<_> = state
        .fingerprints
        .iter()
        .filter(|(secret, print)| inputs.fingerprints.get(*secret) != Some(print))
        .map(|(secret, _)| secret.as_str())
        .collect();
    if inputs.secrets_exist && volumes_exist && !changed.is_empty() {
        findings.push(finding(
            "appliance.secrets-changed",
            Severity::Blocking,
            format!("secrets of `{name}` are not the ones that its data was made with"),
            changed.join(", "),
            Remedy::text("put the secrets.toml of this appliance back"),
        ));
    }
}
