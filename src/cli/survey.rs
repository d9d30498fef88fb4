//! What a change would do, and what speaks against it.

use std::fmt::Write;

use super::failure::Failure;
use super::{Context, findings};
use crate::appliance::Appliance;
use crate::bundle::open::Bundle;
use crate::change::observe;
use crate::change::observed::Observed;
use crate::change::plan::{Plan, Step as _};
use crate::change::{BringUp, Step as ChangeStep};
use crate::check::{self, Examination};
use crate::engine::ContainerEngine;
use crate::facts::existing::Existing;
use crate::facts::subject::{Secrets, certificate_of};
use crate::facts::{self, Change, DiskNeed, Subject};
use crate::stack::Stack;
use crate::stack::secret::SecretStore;
use crate::stack::site::SiteConfig;
use crate::transfer::load::missing_layers;
use crate::transfer::plan as images;

/// What is there, what that means, and what is to be done about it.
pub(super) struct Survey {
    pub(super) plan: Plan<ChangeStep>,
    pub(super) needs: Vec<DiskNeed>,
    /// `None` where no bundle is to be judged.
    pub(super) examination: Option<Examination>,
}

impl Survey {
    /// Shows what speaks against the change, and fails where that blocks it.
    pub(super) fn refuse_if_blocked(&self, context: &Context) -> Result<(), Failure> {
        match &self.examination {
            Some(examination) => findings::refuse_if_blocked(context, examination),
            None => Ok(()),
        }
    }

    /// Fails where something blocks the change.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        match &self.examination {
            Some(examination) => findings::refuse(&examination.findings()),
            None => Ok(()),
        }
    }
}

/// Looks at what is there and makes the plan by `plan`.
pub(super) async fn survey<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    plan: impl FnOnce(&BringUp<'_, E>, &Observed) -> Plan<ChangeStep>,
) -> Result<Survey, Failure> {
    let existing = observe::existing(change).await?;
    let observed = observe::observe(change, &existing).await?;
    let needs = observed.needs.clone();
    let facts = match change.bundle {
        Some(bundle) => {
            let planned = planned(change, bundle, existing, needs.clone()).await?;
            Some(facts::before(change.facts, subject(change, bundle), planned).await)
        }
        // What runs, or ran, was judged when it was installed.
        None => None,
    };
    let examination = facts.map(|facts| check::examine(&facts, &check::before()));
    Ok(Survey {
        examination,
        plan: plan(change, &observed),
        needs,
    })
}

/// The secrets that exist, those of `site.toml`, and what is missing made.
pub(super) fn secrets(
    appliance: &Appliance,
    stack: &Stack,
    site: &SiteConfig,
) -> Result<SecretStore, Failure> {
    let rules = &stack.secrets;
    let mut secrets = appliance.secrets()?.unwrap_or_default();
    secrets.merge(&site.secrets, rules)?;
    secrets.generate_missing(rules)?;
    Ok(secrets)
}

/// The appliance as it would be after the install.
fn subject<E: ContainerEngine>(change: &BringUp<'_, E>, bundle: &Bundle) -> Subject {
    let (appliance, before) = (change.appliance, change.before.as_ref());
    let on_record = before.map(|state| state.fingerprints.clone());
    let stored = appliance.secrets_path().exists().then_some(&change.secrets);
    let site = &change.target.site;
    Subject {
        name: appliance.name().to_owned(),
        site: Some(site.into()),
        secrets: Secrets::compare(stored, &on_record.unwrap_or_default()),
        redactor: site.redactor(&change.secrets),
        status: before.map(|state| state.status),
        unfinished: appliance.journal().unfinished().into(),
        updated: before.map(|state| state.updated),
        certificate: certificate_of(site),
        ..Subject::of_bundle(bundle.manifest(), bundle.stack(), appliance.dir())
    }
}

/// What the install is about to do.
async fn planned<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    bundle: &Bundle,
    existing: Existing,
    needs: Vec<DiskNeed>,
) -> Result<Change, Failure> {
    let gateway = &bundle.stack().langfuse.gateway;
    let sources = images::sources(bundle, change.bases)?;
    Ok(Change {
        manifest: bundle.manifest().clone(),
        bundle: bundle.digest(),
        is_upgrade: change.command == "upgrade",
        recorded: change.before.clone(),
        port: observe::port(&existing, gateway, change.target.site.listen)?,
        existing,
        needs,
        missing: missing_layers(change.engine, change.facts, &sources).await?,
    })
}

/// Prints a plan with its cost.
pub(super) fn print_plan(context: &Context, found: &Survey) -> Result<(), Failure> {
    let Survey {
        plan,
        needs,
        examination,
    } = found;
    let mut text = String::new();
    for planned in &plan.steps {
        let mark = if planned.done { "same" } else { "do  " };
        let _ = writeln!(text, "  {mark} {}", planned.step.label());
    }
    for need in needs {
        let free = need.free.map_or("unknown".to_owned(), |free| {
            indicatif::HumanBytes(free).to_string()
        });
        let _ = writeln!(
            text,
            "{}: {} for {}, {free} free",
            need.path,
            indicatif::HumanBytes(need.bytes),
            need.purpose
        );
    }
    let (seconds, down) = (plan.seconds(), plan.downtime());
    let _ = writeln!(text, "about {seconds} s, of which {down} s without answers");
    let document = serde_json::json!({
        "command": plan.command, "seconds": seconds, "downtime-seconds": down, "steps": plan.steps, "disk": needs,
        "findings": examination.as_ref().map(Examination::findings).unwrap_or_default(),
        "checks": examination.as_ref().map(|one| one.checks.as_slice()).unwrap_or_default(),
    });
    context.print_event("plan", &document, &text)
}
