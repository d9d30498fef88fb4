//! `lfctl install`: from a bundle to a running, proven stack.

use std::io;
use std::path::{Path, PathBuf};

use super::admission::AdmissionArgs;
use super::args::{NameArg, OfflineArg};
use super::failure::{Failure, Kind};
use super::open::{BaseArg, BundleArg};
use super::signal::unless_asked_to_stop;
use super::survey::{secrets, survey};
use super::unfinished::refuse_unfinished_restore;
use super::update_check::judge_update_check;
use super::wizard::Wizard;
use super::{Context, changing, prompt, unfinished};
use crate::appliance::Appliance;
use crate::appliance::state::Status;
use crate::bundle::open::Bundle;
use crate::change::observed::Observed;
use crate::change::plan::Plan;
use crate::change::{Blueprint, BringUp, SiteInput, Step as ChangeStep, install};
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::host::audit::{self, NewEntry};
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;
use crate::sys::fs::read_bounded;
use crate::sys::host;
use crate::transfer::plan as images;

/// Arguments of `lfctl install`.
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
    offline: OfflineArg,
    /// Settings for this site; without it, the appliance's own site.toml, or questions on a
    /// terminal
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Print the plan, with bytes per filesystem, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        self.offline.require("install")?;
        let appliance = self.name.to_install(context)?;
        refuse_unfinished_restore(&appliance)?;
        let bundle = self.bundle.open(context)?;
        let before = appliance.state()?;
        let installed = before.as_ref().map(|state| state.current.bundle);
        let exceptions = self.admission.check(context, &bundle, installed)?;
        let bases = self.base.open(&self.bundle, None, context)?;
        let site = self.site(&appliance, &bundle)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let secrets_now = secrets(&appliance, bundle.stack(), &site.config)?;
        let mut change = BringUp {
            engine: &engine,
            facts: &facts,
            appliance: &appliance,
            paths: &context.paths,
            command: "install",
            bundle: Some(&bundle),
            bases: &bases,
            target: Blueprint::of_bundle(
                appliance.name(),
                &bundle,
                site,
                images::known(&engine, &bundle, &facts, before.as_ref()).await?,
            ),
            previous: None,
            cold: false,
            schema_change: SchemaChange::Additive,
            secrets: secrets_now,
            before,
            reporter: context.reporter.as_ref(),
        };
        let found = survey(&change, install_plan).await?;
        if !found.go_on(context, self.dry_run)? {
            return Ok(());
        }
        if found.plan.is_done() {
            return unchanged(&mut change).await;
        }
        let _lock = appliance.lock()?;
        unfinished::before_change(context, &engine, &facts, &appliance).await?;
        // Another lfctl may have been at work until now: look again, and never
        // write secrets over those that it made.
        change.before = appliance.state()?;
        change.secrets = secrets(&appliance, bundle.stack(), &change.target.site)?;
        let found = survey(&change, install_plan).await?;
        found.refuse()?;
        exceptions.write_down(context, &bundle)?;
        let (purpose, entry) = changing::to_bundle("install", &bundle);
        let plan = &found.plan;
        let logged = entry.clone();
        changing::run_audited(context, &appliance, plan, purpose, &mut change, logged).await?;
        // Not before it is in the log that the release is installed: the
        // answer may be long in coming.
        if let Err(failure) = update_check(&change).await {
            let result = failure.first_line();
            audit::append(&appliance.audit_log(), NewEntry { result, ..entry })?;
            return Err(failure);
        }
        say_where(context, &change);
        Ok(())
    }

    fn site(&self, appliance: &Appliance, bundle: &Bundle) -> Result<SiteInput, Failure> {
        let written = appliance.site_path();
        let (text, from) = match &self.site {
            Some(path) => (read_site(path)?, path.clone()),
            None if written.exists() => (read_site(&written)?, written),
            None if prompt::is_possible() => {
                let wizard = Wizard {
                    host: &host_name(),
                    stack: bundle.stack(),
                    file: &written,
                };
                let text = wizard.ask()?;
                // Before anything that takes long or may fail, so that no
                // answer has to be given twice.
                if !self.dry_run {
                    appliance.write_site(&text)?;
                }
                (text, written)
            }
            None => {
                return Err(Failure::new(
                    Kind::Config,
                    format!("appliance `{}` has no site.toml yet", appliance.name()),
                )
                .hint(
                    "write one (`lfctl help site`) and name it with `--site FILE`, or run on a terminal",
                ));
            }
        };
        Ok(SiteInput::parse(&from, text, bundle.stack())?)
    }
}

/// Says that there is nothing to do.
async fn unchanged(change: &mut BringUp<'_, Docker>) -> Result<(), Failure> {
    change.write_time_again()?;
    notice(
        change.reporter,
        Level::Info,
        "install.unchanged",
        format!(
            "{} is installed as `{}` and as it should be: nothing to do",
            change.target.release,
            change.appliance.name()
        ),
    );
    judge_update_check(change).await
}

/// Judges the update check, unless the operator asks to stop.
async fn update_check(change: &BringUp<'_, Docker>) -> Result<(), Failure> {
    let judged = unless_asked_to_stop(Box::pin(judge_update_check(change))).await;
    judged.unwrap_or_else(|| {
        Err(Failure::new(
            Kind::Interrupted,
            format!(
                "interrupted: {} is installed and running; the update check was not verified",
                change.target.release
            ),
        )
        .hint("look at it with `lfctl doctor --only egress.update-check`"))
    })
}

/// Bytes of the largest `site.toml`.
const SITE_LIMIT: u64 = 1 << 20;

pub(super) fn read_site(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::new(
            Kind::Config,
            format!("{} is not a site.toml: {why}", path.display()),
        )
        .hint("`lfctl help site` describes every key")
    };
    let bytes = match read_bounded(path, SITE_LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(wrong("it is larger than 1 MiB"));
        }
        read => read?,
    };
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))
}

fn install_plan<E>(change: &BringUp<'_, E>, observed: &Observed) -> Plan<ChangeStep> {
    install::plan(&change.target.stack, observed)
}

pub(super) fn say_where<E: ContainerEngine>(context: &Context, change: &BringUp<'_, E>) {
    debug_assert!(matches!(
        change
            .appliance
            .state()
            .ok()
            .flatten()
            .map(|state| state.status),
        Some(Status::Installed)
    ));
    let sdks = change.target.release.sdks();
    let sdks = sdks.map(|sdks| format!("SDKs that fit it: {sdks}"));
    let lines = [
        format!(
            "{} runs at {}",
            change.target.release, change.target.site.url
        ),
        format!(
            "sign in as {}; the password is `admin-password` in {}",
            change.target.site.admin.email,
            show(&change.appliance.secrets_path())
        ),
        context.hints.add_to(&format!(
            "to examine it: `lfctl doctor --name {}`",
            change.appliance.name()
        )),
    ];
    for line in lines.into_iter().chain(sdks) {
        notice(change.reporter, Level::Info, "install.done", line);
    }
}

fn host_name() -> String {
    host::Host::read().map_or_else(|_| "localhost".to_owned(), |host| host.hostname)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
