//! `lfctl upgrade`: from the running release to that of a bundle, proven, or
//! back.

use std::path::PathBuf;

use super::accept::{AcceptArg, signer};
use super::args::{BaseArg, BundleArg, NameArg};
use super::failure::{Failure, Kind};
use super::install::{read_site, say_where};
use super::survey::{print_plan, secrets, survey};
use super::update_check::judge_update_check;
use super::{Context, changing, recover};
use crate::appliance::Appliance;
use crate::appliance::journal::OnBreak;
use crate::appliance::state::{State, Status};
use crate::bundle::open::Bundle;
use crate::change::observed::Observed;
use crate::change::plan::{Phase, Plan};
use crate::change::runner::Purpose;
use crate::change::upgrade::{self, Leftovers};
use crate::change::{Blueprint, BringUp, SiteInput, Step};
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::host::audit::{self, Deed};
use crate::report::event::{Level, notice};
use crate::transfer::plan as images;

/// Arguments of `lfctl upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    accept: AcceptArg,
    #[command(flatten)]
    base: BaseArg,
    /// Connect to nothing but the engine's socket and this host; there is no other way to upgrade
    #[arg(long)]
    offline: bool,
    /// Use this site.toml instead of the one in force
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Verify and load everything, and end before anything that serves is touched
    #[arg(long)]
    stage: bool,
    /// Print the plan, with bytes per filesystem and expected seconds, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = Appliance::named(&context.paths, &self.name.name)?;
        let bundle = self.bundle.open(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = (!self.dry_run).then(|| appliance.lock()).transpose()?;
        if !self.dry_run {
            recover::before_change(context, &engine, &facts, &appliance).await?;
        }
        let before = installed(&appliance)?;
        if before.current.bundle == bundle.digest() {
            notice(
                context.reporter.as_ref(),
                Level::Info,
                "upgrade.unchanged",
                format!("{} runs already from this bundle", before.current.release),
            );
            return Ok(());
        }
        let exceptions = self.accept.check(context, &bundle, None)?;
        let bases = self.base.open(&self.bundle, None, context)?;
        let site = self.site(&appliance, &bundle)?;
        let previous = Blueprint::of_generation(&appliance, &before.current)?;
        let (from, to) = (&before.current.release, &bundle.manifest().release);
        let (_, schema_change) = bundle.manifest().upgrade.path(&from.version, &to.version);
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
            schema_change,
            before: Some(before),
            reporter: context.reporter.as_ref(),
        };
        let generations = appliance.generations()?;
        let found = survey(&change, |change, observed| {
            self.plan(change, observed, &generations)
        })
        .await?;
        if self.dry_run {
            print_plan(context, &found)?;
        }
        found.refuse_if_blocked(context)?;
        if self.dry_run {
            return Ok(());
        }
        exceptions.write_down(context, &bundle)?;
        let purpose = Purpose {
            bundle: Some(bundle.digest()),
            release: Some(bundle.manifest().release.clone()),
        };
        let work = changing::run(context, &appliance, &found.plan, purpose, &mut change);
        let result = Box::pin(work).await;
        let deed = Deed {
            command: if self.stage {
                "upgrade --stage"
            } else {
                "upgrade"
            }
            .to_owned(),
            bundle: Some(bundle.digest()),
            key: Some(signer(&bundle)),
            result: result
                .as_ref()
                .map_or_else(Failure::first_line, |()| "done".to_owned()),
        };
        let audited = audit::append(&appliance.audit_path(), deed);
        result.map_err(|failure| failure.of_appliance(appliance.name()))?;
        audited?;
        if self.stage {
            notice(
                context.reporter.as_ref(),
                Level::Info,
                "upgrade.staged",
                "everything is loaded; run the same command without `--stage` to switch",
            );
            return Ok(());
        }
        judge_update_check(&change).await?;
        say_where(&change);
        Ok(())
    }

    fn plan<E>(
        &self,
        change: &BringUp<'_, E>,
        observed: &Observed,
        generations: &[crate::appliance::generation::Generation],
    ) -> Plan<Step> {
        let target = &change.target;
        let leftovers = match &change.previous {
            Some(previous) => Leftovers::of(
                &previous.stack,
                &target.stack,
                [&previous.images, &target.images],
                generations,
            ),
            None => Leftovers::default(),
        };
        let mut plan = upgrade::plan(&target.stack, observed, &leftovers);
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

/// What is installed, if it is as a whole.
pub(super) fn installed(appliance: &Appliance) -> Result<State, Failure> {
    let name = appliance.name();
    match appliance.state()? {
        Some(state) if state.status == Status::Installed => Ok(state),
        Some(state) if state.status == Status::Installing => Err(Failure::new(
            Kind::Blocked,
            format!("the install of `{name}` has not reached its end"),
        )
        .hint(format!(
            "finish it with the bundle it was begun with: `lfctl install --offline --name {name} BUNDLE`"
        ))),
        _ => Err(Failure::new(
            Kind::Blocked,
            format!("no appliance `{name}` is installed on this host"),
        )
        .hint("`lfctl status` lists those that are")),
    }
}
