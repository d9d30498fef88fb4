//! What a change would do, and what speaks against it.

use std::fmt::Write;

use super::failure::Failure;
use super::{Context, findings};
use crate::appliance::Appliance;
use crate::bundle::open::Bundle;
use crate::change::backup::Step as BackupStep;
use crate::change::observe;
use crate::change::observed::Observed;
use crate::change::plan::{Plan, Step};
use crate::change::{BringUp, Step as ChangeStep};
use crate::check::{self, Examination};
use crate::engine::ContainerEngine;
use crate::facts::existing::Existing;
use crate::facts::subject::{Secrets, certificate_of};
use crate::facts::{self, Backups, Change, DiskNeed, Subject};
use crate::render::egress::routes;
use crate::stack::Stack;
use crate::stack::secret::SecretStore;
use crate::stack::site::SiteConfig;
use crate::transfer::load::missing_layers;
use crate::transfer::plan as images;

/// What a change brings, for those who only read its plan.
struct About {
    release: String,
    /// The key that signed the bundle; `None` when that was not checked.
    signed_by: Option<String>,
    url: String,
}

/// What is there, what that means, and what is to be done about it.
pub(super) struct Survey {
    /// The backup that is written before it.
    pub(super) backup: Option<Plan<BackupStep>>,
    pub(super) plan: Plan<ChangeStep>,
    about: About,
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

    /// Prints the plan where that is all that is asked for, and fails where
    /// something blocks the change. Tells whether to go on.
    pub(super) fn go_on(&self, context: &Context, dry_run: bool) -> Result<bool, Failure> {
        if dry_run {
            print_plan(context, self)?;
        }
        self.refuse_if_blocked(context)?;
        Ok(!dry_run)
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
    let observed = Box::pin(observe::observe(change, &existing)).await?;
    let needs = observed.needs.clone();
    let facts = match change.bundle {
        Some(bundle) => {
            let planned = Box::pin(planned(change, bundle, existing, &observed)).await?;
            let mut facts = Box::pin(facts::before(
                change.facts,
                subject(change, bundle),
                planned,
            ))
            .await;
            if let (Some(before), "upgrade") = (&change.before, change.command) {
                let name = change.appliance.name();
                facts.schemas = facts::running_schemas(change.engine, name, &before.stack).await;
            }
            Some(facts)
        }
        // What runs, or ran, was judged when it was installed.
        None => None,
    };
    let examination = facts.map(|facts| check::examine(&facts, &check::before()));
    Ok(Survey {
        examination,
        backup: None,
        plan: plan(change, &observed),
        about: About {
            release: change.target.release.to_string(),
            signed_by: change.target.key.clone(),
            url: change.target.site.url.to_string(),
        },
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
        backups: Backups::of(appliance, Some(site)),
        routes: routes(site),
        certificate: certificate_of(site),
        ..Subject::of_bundle(bundle.manifest(), bundle.stack(), appliance.dir())
    }
}

/// What the install is about to do.
async fn planned<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    bundle: &Bundle,
    existing: Existing,
    observed: &Observed,
) -> Result<Change, Failure> {
    let gateway = &bundle.stack().langfuse.gateway;
    let sources = images::sources(bundle, change.bases)?;
    Ok(Change {
        manifest: bundle.manifest().clone(),
        bundle: bundle.digest(),
        is_upgrade: change.command == "upgrade",
        cold: change.cold.then(|| observed.can_stand_still()),
        recorded: change.before.clone(),
        port: observe::port(&existing, gateway, change.target.site.listen)?,
        existing,
        needs: observed.needs.clone(),
        missing: missing_layers(change.engine, change.facts, &sources).await?,
    })
}

/// Prints a plan with its cost.
pub(super) fn print_plan(context: &Context, found: &Survey) -> Result<(), Failure> {
    let Survey {
        backup,
        plan,
        about,
        needs,
        examination,
    } = found;
    let key = about.signed_by.as_deref().map(|key| format!("key {key}"));
    let mut text = format!(
        "release    {}\nsigned by  {}\nurl        {}\n",
        about.release,
        key.unwrap_or_else(|| "NOT CHECKED".to_owned()),
        about.url
    );
    if let Some(backup) = backup {
        text.push_str("first, a backup\n");
        write_steps(&mut text, backup);
        write_disk(&mut text, backup);
        text.push_str("then\n");
    }
    write_steps(&mut text, plan);
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
    let examination = examination.clone();
    let examination = examination.map(|one| findings::with_flags(context, one));
    let down = plan.downtime();
    let seconds = plan.seconds() + backup.as_ref().map_or(0, Plan::seconds);
    let _ = writeln!(text, "about {seconds} s, of which {down} s without answers");
    let document = serde_json::json!({
        "backup": backup, "command": plan.command, "release": about.release, "signed-by": about.signed_by, "url": about.url, "seconds": seconds, "downtime-seconds": down, "steps": plan.steps, "disk": needs,
        "findings": examination.as_ref().map(Examination::findings).unwrap_or_default(),
        "checks": examination.as_ref().map(|one| one.checks.as_slice()).unwrap_or_default(),
    });
    context.print_event("plan", &document, &text)
}

/// Prints the steps of a plan that nothing was examined for, with their cost.
pub(super) fn print_steps<S: Step>(context: &Context, plan: &Plan<S>) -> Result<(), Failure> {
    let mut text = String::new();
    write_steps(&mut text, plan);
    write_disk(&mut text, plan);
    let (seconds, down) = (plan.seconds(), plan.downtime());
    let _ = writeln!(text, "about {seconds} s, of which {down} s without answers");
    let document = serde_json::json!({
        "command": plan.command, "seconds": seconds, "downtime-seconds": down, "steps": plan.steps,
    });
    context.print_event("plan", &document, &text)
}

/// The steps, with the bytes that each writes.
fn write_steps<S: Step>(text: &mut String, plan: &Plan<S>) {
    for planned in &plan.steps {
        let mark = if planned.done { "same" } else { "do  " };
        let _ = write!(text, "  {mark} {}", planned.step.label());
        for need in &planned.estimate.disk {
            let _ = write!(
                text,
                ": {} ({})",
                indicatif::HumanBytes(need.bytes),
                need.purpose
            );
        }
        text.push('\n');
    }
}

/// What all steps write, and how much is free there.
fn write_disk<S>(text: &mut String, plan: &Plan<S>) {
    let disks = plan.steps.iter().flat_map(|one| &one.estimate.disk);
    if let Some(last) = disks.clone().last() {
        let bytes: u64 = disks.map(|need| need.bytes).sum();
        let free = last.free.map_or("unknown".to_owned(), |free| {
            indicatif::HumanBytes(free).to_string()
        });
        let _ = writeln!(
            text,
            "{}: {}, {free} free",
            last.path,
            indicatif::HumanBytes(bytes)
        );
    }
}
