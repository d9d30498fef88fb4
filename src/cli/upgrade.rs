//! `lfctl upgrade`: from the running release to that of a bundle, proven, or
//! back.

use std::path::PathBuf;

use jiff::{SignedDuration, Zoned};

use super::admission::{AdmissionArgs, Exceptions};
use super::args::{NameArg, OfflineArg};
use super::backup::before_upgrade::{BackupFirst, Planned};
use super::failure::Failure;
use super::install::{read_site, say_where};
use super::installed::installed;
use super::open::{BaseArg, BundleArg};
use super::survey::{Survey, secrets, survey};
use super::update_check::judge_update_check;
use super::{Context, changing, unfinished};
use crate::appliance::Appliance;
use crate::appliance::journal::OnBreak;
use crate::bundle::manifest::UpgradeWay;
use crate::bundle::open::Bundle;
use crate::change::leftovers::Leftovers;
use crate::change::observed::Observed;
use crate::change::plan::{Phase, Plan};
use crate::change::upgrade::{self, Cold};
use crate::change::{Blueprint, BringUp, SiteInput, Step};
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;
use crate::transfer::plan as images;

/// Arguments of `lfctl upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    base: BaseArg,
    #[command(flatten)]
    backup: BackupFirst,
    #[command(flatten)]
    offline: OfflineArg,
    /// Use this site.toml instead of the one in force
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Verify and load everything, then stop before anything that serves is touched
    #[arg(long)]
    stage: bool,
    /// Stop everything during the migration, even if the bundle does not ask for it
    #[arg(long)]
    cold: bool,
    /// Print the plan, with bytes per filesystem and expected seconds, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        self.offline.require("upgrade")?;
        let appliance = self.name.appliance(context)?;
        let bundle = self.bundle.open(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = (!self.dry_run).then(|| appliance.lock()).transpose()?;
        if !self.dry_run {
            unfinished::before_change(context, &engine, &facts, &appliance).await?;
        }
        let before = installed(&appliance)?;
        if before.current.bundle == bundle.digest() {
            let text = format!("{} runs already from this bundle", before.current.release);
            say(context, "upgrade.unchanged", text);
            return Ok(());
        }
        let exceptions = self.admission.check(context, &bundle, None)?;
        let bases = self.base.open(&self.bundle, None, context)?;
        let site = self.site(&appliance, &bundle)?;
        let previous = Blueprint::of_generation(&appliance, &before.current)?;
        let (from, to) = (&before.current.release, &bundle.manifest().release);
        let (way, schema_change) = bundle.manifest().upgrade.path(&from.version, &to.version);
        let cold =
            self.cold || way == UpgradeWay::Cold || schema_change == SchemaChange::Destructive;
        let mut change = BringUp {
            engine: &engine,
            facts: &facts,
            appliance: &appliance,
            paths: &context.paths,
            command: "upgrade",
            bundle: Some(&bundle),
            bases: &bases,
            secrets: secrets(&appliance, bundle.stack(), &site.config)?,
            target: Blueprint::of_bundle(
                appliance.name(),
                &bundle,
                site,
                images::known(&engine, &bundle, &facts, Some(&before)).await?,
            ),
            previous: Some(previous),
            cold,
            schema_change,
            before: Some(before),
            reporter: context.reporter.as_ref(),
        };
        let leftovers = change.leftovers()?;
        let found = survey(&change, |change, observed| {
            self.plan(change, observed, &leftovers)
        })
        .await?;
        self.carry_out(context, &bundle, exceptions, found, &mut change)
            .await
    }

    /// The backup and the upgrade, unless something speaks against them.
    async fn carry_out(
        &self,
        context: &Context,
        bundle: &Bundle,
        exceptions: Exceptions,
        mut found: Survey,
        change: &mut BringUp<'_, Docker>,
    ) -> Result<(), Failure> {
        let backup = self.plan_backup(change).await?;
        found.backup = backup.as_ref().map(|backup| backup.plan.clone());
        let goes_on = found.go_on(context, self.dry_run)?;
        if backup.is_none() && !self.stage {
            self.backup.go_without(context, change.schema_change)?;
        }
        if !goes_on {
            return Ok(());
        }
        exceptions.write_down(context, bundle)?;
        if let (Some(backup), Some(before)) = (backup, &change.before) {
            let (engine, appliance) = (change.engine, change.appliance);
            backup.write(context, engine, appliance, before).await?;
        }
        let command = ["upgrade", "upgrade --stage"][usize::from(self.stage)];
        let (purpose, entry) = changing::to_bundle(command, bundle);
        let (appliance, plan) = (change.appliance, &found.plan);
        changing::run_audited(context, appliance, plan, purpose, change, entry).await?;
        self.end(context, change).await
    }

    /// The backup that comes first; staging touches nothing that one is for.
    async fn plan_backup(&self, change: &BringUp<'_, Docker>) -> Result<Option<Planned>, Failure> {
        match &change.before {
            Some(before) if !self.stage => {
                let (engine, appliance) = (change.engine, change.appliance);
                self.backup.plan(engine, appliance, before).await
            }
            _ => Ok(None),
        }
    }

    async fn end(&self, context: &Context, change: &BringUp<'_, Docker>) -> Result<(), Failure> {
        if self.stage {
            let text = "everything is loaded; run the same command without `--stage` to switch";
            say(context, "upgrade.staged", text);
            return Ok(());
        }
        judge_update_check(change).await?;
        say_where(context, change);
        Ok(())
    }

    fn plan<E>(
        &self,
        change: &BringUp<'_, E>,
        observed: &Observed,
        leftovers: &Leftovers,
    ) -> Plan<Step> {
        let target = &change.target;
        let plan_until = |until: &str| {
            let (Some(before), true) = (&change.before, change.cold) else {
                return upgrade::plan(&target.stack, observed, leftovers, None);
            };
            let cold = Cold {
                previous: &before.stack,
                generation: before.current.number,
                until,
            };
            upgrade::plan(&target.stack, observed, leftovers, Some(cold))
        };
        let mut plan = plan_until("");
        if change.cold {
            let seconds = i64::try_from(plan.downtime()).unwrap_or(i64::MAX);
            let until = Zoned::now().saturating_add(SignedDuration::from_secs(seconds));
            plan = plan_until(&until.strftime("%H:%M %Z").to_string());
        }
        if self.stage {
            plan.on_break = OnBreak::Resume;
            plan.steps.retain(|planned| planned.phase == Phase::Stage);
        }
        plan
    }

    fn site(&self, appliance: &Appliance, bundle: &Bundle) -> Result<SiteInput, Failure> {
        let path = self.site.clone().unwrap_or_else(|| appliance.site_path());
        let text = read_site(&path)?;
        Ok(SiteInput::parse(&path, text, bundle.stack())?)
    }
}

fn say(context: &Context, code: &str, text: impl Into<String>) {
    notice(context.reporter.as_ref(), Level::Info, code, text);
}
