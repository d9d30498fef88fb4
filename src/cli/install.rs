//! `lfctl install`: from a bundle to a running, proven stack.

use std::fmt::Write;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::accept::{AcceptArg, signer};
use super::args::{BaseArg, BundleArg, NameArg};
use super::failure::{Failure, Kind};
use super::findings::{refuse, refuse_if_blocked};
use super::signal::unless_asked_to_stop;
use super::{Context, changing, wizard};
use crate::appliance::Appliance;
use crate::appliance::state::Status;
use crate::bundle::open::Bundle;
use crate::change::observe;
use crate::change::plan::{Plan, Step as _};
use crate::change::runner::Purpose;
use crate::change::{Blueprint, BringUp, Step as ChangeStep, install, update_check};
use crate::check::{self, Examination};
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::facts::existing::Existing;
use crate::facts::subject::Secrets;
use crate::facts::{self, Change, DiskNeed, Subject};
use crate::host::audit::{self, Deed};
use crate::langfuse::UpdateVerdict;
use crate::report::event::{Level, Outcome, Step, notice};
use crate::stack::secret::SecretStore;
use crate::stack::site::{SiteConfig, TlsMaterial};
use crate::sys::host;
use crate::transfer::load::missing_layers;
use crate::transfer::plan as images;

/// Arguments of `lfctl install`.
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
    /// Connect to nothing but the engine's socket and this host; there is no other way to install
    #[arg(long)]
    offline: bool,
    /// What the operator decided; without it, the appliance's own site.toml or questions on a
    /// terminal
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Print the plan, with bytes per filesystem, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What the operator decided, in both forms.
struct Site {
    config: SiteConfig,
    text: String,
    tls: Option<TlsMaterial>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = Appliance::named(&context.paths, &self.name.name)?;
        let bundle = self.bundle.open(context)?;
        let before = appliance.state()?;
        let installed = before.as_ref().map(|state| state.current.bundle);
        let exceptions = self.accept.check(context, &bundle, installed)?;
        let bases = self.base.open(&self.bundle, None, context)?;
        let site = self.site(&appliance, &bundle)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let secrets_now = secrets(&appliance, &bundle, &site.config)?;
        let mut change = BringUp {
            engine: &engine,
            facts: &facts,
            appliance: &appliance,
            paths: &context.paths,
            bundle: &bundle,
            bases: &bases,
            target: Blueprint {
                appliance: appliance.name().to_owned(),
                stack: bundle.stack().clone(),
                site: site.config,
                site_text: site.text,
                tls: site.tls,
                images: images::known(&engine, &bundle, &facts, before.as_ref()).await?,
            },
            secrets: secrets_now,
            before,
            reporter: context.reporter.as_ref(),
        };
        let found = survey(&change).await?;
        if self.dry_run {
            print_plan(context, &found)?;
        }
        refuse_if_blocked(context, &found.examination)?;
        if self.dry_run {
            return Ok(());
        }
        if found.plan.is_done() {
            change.write_time_again()?;
            notice(
                change.reporter,
                Level::Info,
                "install.unchanged",
                format!(
                    "{} is installed as `{}` and as it should be: nothing to do",
                    bundle.manifest().release,
                    appliance.name()
                ),
            );
            return judge_update_check(&change).await;
        }
        let _lock = appliance.lock()?;
        // Another lfctl may have been at work until now: look again, and never
        // write secrets over those that it made.
        change.before = appliance.state()?;
        change.secrets = secrets(&appliance, &bundle, &change.target.site)?;
        let found = survey(&change).await?;
        refuse(&found.examination.findings())?;
        exceptions.write_down(context, &bundle)?;
        let deed = |result: String| Deed {
            command: "install".to_owned(),
            bundle: Some(bundle.digest()),
            key: Some(signer(&bundle)),
            result,
        };
        let write = |deed| audit::append(&appliance.audit_path(), deed);
        let purpose = Purpose {
            bundle: Some(bundle.digest()),
            release: Some(bundle.manifest().release.clone()),
        };
        let work = changing::run(context, &appliance, &found.plan, purpose, &mut change);
        let result = Box::pin(work).await;
        let audited = write(deed(
            result
                .as_ref()
                .map_or_else(Failure::first_line, |()| "done".to_owned()),
        ));
        result.map_err(|failure| failure.of_appliance(appliance.name()))?;
        audited?;
        // Not before it is in the log that the release is installed: the
        // answer may be long in coming.
        let judged = unless_asked_to_stop(Box::pin(judge_update_check(&change))).await;
        let judged = judged.unwrap_or_else(|| {
            Err(Failure::new(
                Kind::Interrupted,
                format!(
                    "interrupted: {} is installed and runs, but nobody saw its update check fail",
                    bundle.manifest().release
                ),
            )
            .hint("look at it with `lfctl doctor --only egress.update-check`"))
        });
        if let Err(failure) = judged {
            write(deed(failure.first_line()))?;
            return Err(failure.of_appliance(appliance.name()));
        }
        say_where(&change);
        Ok(())
    }

    fn site(&self, appliance: &Appliance, bundle: &Bundle) -> Result<Site, Failure> {
        let written = appliance.site_path();
        let (text, from) = match &self.site {
            Some(path) => (read_site(path)?, path.clone()),
            None if written.exists() => (read_site(&written)?, written),
            None if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => (
                wizard::ask(&host_name())?,
                PathBuf::from("the answers given"),
            ),
            None => {
                return Err(Failure::new(
                    Kind::Config,
                    format!("appliance `{}` has no site.toml yet", appliance.name()),
                )
                .hint(
                    "write one (docs/site.md) and name it with `--site FILE`, or run on a terminal",
                ));
            }
        };
        let config = SiteConfig::parse_for(&text, bundle.stack())
            .map_err(|source| Failure::site(&from, &source))?;
        let tls = config
            .tls
            .as_ref()
            .map(|files| -> Result<_, Failure> {
                let certificate = fs::read_to_string(&files.certificate)?;
                let key = fs::read_to_string(&files.key)?;
                TlsMaterial::parse(&certificate, &key)
                    .map_err(|source| Failure::site(&from, &source))
            })
            .transpose()?;
        Ok(Site { config, text, tls })
    }
}

/// Bytes of the largest `site.toml`.
const SITE_LIMIT: u64 = 1 << 20;

fn read_site(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(SITE_LIMIT + 1).read_to_end(&mut bytes)?;
    let wrong = |why: &str| {
        Failure::new(
            Kind::Config,
            format!("{} is no site.toml: {why}", path.display()),
        )
        .hint("docs/site.md describes every key")
    };
    if bytes.len() as u64 > SITE_LIMIT {
        return Err(wrong("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))
}

/// What is there, what that means, and what is to be done about it.
struct Survey {
    plan: Plan<ChangeStep>,
    needs: Vec<DiskNeed>,
    examination: Examination,
}

async fn survey<E: ContainerEngine>(change: &BringUp<'_, E>) -> Result<Survey, Failure> {
    let existing = observe::existing(change).await?;
    let observed = observe::observe(change, &existing).await?;
    let needs = observed.needs.clone();
    let subject = subject(change);
    let planned = planned(change, existing, needs.clone()).await?;
    let facts = facts::before(change.facts, subject, planned).await;
    Ok(Survey {
        examination: check::examine(&facts, &check::before()),
        plan: install::plan(change.bundle.stack(), &observed),
        needs,
    })
}

fn secrets(
    appliance: &Appliance,
    bundle: &Bundle,
    site: &SiteConfig,
) -> Result<SecretStore, Failure> {
    let rules = &bundle.stack().secrets;
    let mut secrets = appliance.secrets()?.unwrap_or_default();
    secrets.merge(&site.secrets, rules)?;
    secrets.generate_missing(rules)?;
    Ok(secrets)
}

/// The appliance as it would be after the install.
fn subject<E: ContainerEngine>(change: &BringUp<'_, E>) -> Subject {
    let (appliance, before) = (change.appliance, change.before.as_ref());
    let on_record = before.map(|state| state.fingerprints.clone());
    let stored = appliance.secrets_path().exists().then_some(&change.secrets);
    let (bundle, site) = (change.bundle, &change.target.site);
    Subject {
        name: appliance.name().to_owned(),
        site: Some(site.into()),
        secrets: Secrets::compare(stored, &on_record.unwrap_or_default()),
        redactor: site.redactor(&change.secrets),
        status: before.map(|state| state.status),
        unfinished: appliance.journal().unfinished().into(),
        updated: before.map(|state| state.updated),
        ..Subject::of_bundle(bundle.manifest(), bundle.stack(), appliance.dir())
    }
}

/// What the install is about to do.
async fn planned<E: ContainerEngine>(
    change: &BringUp<'_, E>,
    existing: Existing,
    needs: Vec<DiskNeed>,
) -> Result<Change, Failure> {
    let bundle = change.bundle;
    let gateway = &bundle.stack().langfuse.gateway;
    let sources = images::sources(bundle, change.bases)?;
    Ok(Change {
        manifest: bundle.manifest().clone(),
        bundle: bundle.digest(),
        recorded: change.before.clone(),
        port: observe::port(&existing, gateway, change.target.site.listen)?,
        existing,
        needs,
        missing: missing_layers(change.engine, change.facts, &sources).await?,
    })
}

fn print_plan(context: &Context, found: &Survey) -> Result<(), Failure> {
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
    let document = serde_json::json!({
        "steps": plan.steps, "disk": needs,
        "findings": examination.findings(), "checks": examination.checks,
    });
    context.print_event("plan", &document, &text)
}

/// The mission's own question, asked of what was just installed.
async fn judge_update_check<E: ContainerEngine>(change: &BringUp<'_, E>) -> Result<(), Failure> {
    let step = Step::start(
        change.reporter,
        "probe:update-check",
        "let web call its update check",
    );
    let check = update_check(change).await?;
    let detail = format!("{}, {} ms", check.verdict, check.elapsed_ms);
    if check.verdict == UpdateVerdict::Graceful {
        step.finish(Outcome::Done, Some(detail));
        return Ok(());
    }
    step.finish(Outcome::Failed, Some(detail));
    if let UpdateVerdict::Slow | UpdateVerdict::Unproven = check.verdict {
        notice(
            change.reporter,
            Level::Warning,
            "install.update-check",
            format!(
                "the update check does not fail as it should: {}",
                check.verdict
            ),
        );
        return Ok(());
    }
    Err(Failure::new(
        Kind::Blocked,
        format!(
            "{} is installed and runs, but its update check does not fail as it must: {}",
            change.bundle.manifest().release,
            check.verdict
        ),
    )
    .hint("see what answers it: `lfctl doctor --only egress.update-check`"))
}

fn say_where<E: ContainerEngine>(change: &BringUp<'_, E>) {
    debug_assert!(matches!(
        change
            .appliance
            .state()
            .ok()
            .flatten()
            .map(|state| state.status),
        Some(Status::Installed)
    ));
    let lines = [
        format!(
            "{} runs at {}",
            change.bundle.manifest().release,
            change.target.site.url
        ),
        format!(
            "sign in as {}; the password is `admin-password` in {}",
            change.target.site.admin.email,
            show(&change.appliance.secrets_path())
        ),
        format!(
            "to examine it: lfctl doctor --name {}",
            change.appliance.name()
        ),
    ];
    for line in lines {
        notice(change.reporter, Level::Info, "install.done", line);
    }
}

fn host_name() -> String {
    host::Host::read().map_or_else(|_| "localhost".to_owned(), |host| host.hostname)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
