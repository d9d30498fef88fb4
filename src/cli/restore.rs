//! `lfctl restore`: an appliance out of a snapshot, on an empty host or on a
//! broken one.

use std::path::{Path, PathBuf};

use super::admission::{AdmissionArgs, signer};
use super::args::NameArg;
use super::backup::repository::RepositoryArg;
use super::failure::{Failure, Kind};
use super::install::{read_site, say_where};
use super::open::BundleArg;
use super::standing::require_images;
use super::survey::{print_steps, survey};
use super::{Context, changing, unfinished};
use crate::appliance::Appliance;
use crate::appliance::backup::{LastBackup, Records};
use crate::appliance::generation::Generation;
use crate::appliance::state::State;
use crate::bundle::open::Bundle;
use crate::change::backup::Manifest;
use crate::change::plan::Plan;
use crate::change::restore::{self, InTheWay, Restore, Source};
use crate::change::runner::Purpose;
use crate::change::{Blueprint, BringUp, SiteInput, install, observe, uninstall};
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine as _, EngineFacts};
use crate::host::audit::{self, NewEntry};
use crate::repository::Repository;
use crate::stack::Stack;
use crate::stack::release::SchemaChange;
use crate::stack::secret::SecretStore;
use crate::sys::versioned;
use crate::transfer::plan as images;

/// Arguments of `lfctl restore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    repository: RepositoryArg,
    /// The snapshot: its id, the beginning of it, or `latest`
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// Use this site.toml instead of the one in the snapshot, such as for another address
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// Replace the data on this host with that of the snapshot
    #[arg(long)]
    replace_data: bool,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = (!self.dry_run).then(|| appliance.lock()).transpose()?;
        if !self.dry_run && unfinished::is_committed_restore(&appliance)? {
            // Once more would lose what was accepted since.
            unfinished::before_change(context, &engine, &facts, &appliance).await?;
            return Ok(());
        }
        let repository = self.repository.open(&appliance)?;
        let source = find(&repository, &self.snapshot)?;
        let before = appliance.state()?;
        let bundle = self.bundle(context, &source.manifest, before.as_ref())?;
        let exceptions = bundle
            .as_ref()
            .map(|bundle| self.admission.check(context, bundle, None))
            .transpose()?;
        let in_the_way = self
            .in_the_way(&engine, &appliance, before.as_ref())
            .await?;
        let found = Found {
            source,
            bundle: bundle.as_ref(),
            before,
        };
        let restore = self.restore(context, &engine, &facts, &appliance, found);
        let mut restore = restore.await?;
        let plan = plan(context, &restore, &in_the_way).await?;
        if self.dry_run {
            return print_steps(context, &plan);
        }
        if let (Some(exceptions), Some(bundle)) = (exceptions, &bundle) {
            exceptions.write_down(context, bundle)?;
        }
        // Before the commit, behind which nobody knows of them any more.
        self.remember(&appliance, &repository, &restore.source)?;
        run(context, &plan, &mut restore).await?;
        say_where(context, &restore.bring_up);
        Ok(())
    }

    /// The bundle that has the images; `None` where what is installed here, or
    /// was before, is that release.
    fn bundle(
        &self,
        context: &Context,
        manifest: &Manifest,
        before: Option<&State>,
    ) -> Result<Option<Bundle>, Failure> {
        let wanted = &manifest.generation;
        let is_here = before.and_then(|state| recorded(state, wanted)).is_some();
        if is_here && self.bundle.bundle.is_none() {
            return Ok(None);
        }
        let bundle = self.bundle.open(context)?;
        let held = &bundle.manifest().release;
        if *held == wanted.release {
            return Ok(Some(bundle));
        }
        let message = format!(
            "the snapshot was made by {}, and this bundle holds {held}",
            wanted.release
        );
        Err(Failure::new(Kind::Blocked, message).hint(format!(
            "restore with the bundle of {}, then upgrade with this one",
            wanted.release
        )))
    }

    /// What has to go first; refuses data that nobody said may go.
    async fn in_the_way(
        &self,
        engine: &Docker,
        appliance: &Appliance,
        before: Option<&State>,
    ) -> Result<InTheWay, Failure> {
        let removal = uninstall::find(engine, appliance, before, true).await?;
        // What a restore that broke off has put there is not whole.
        let is_again = unfinished::is_unfinished_restore(appliance)?;
        if !removal.volumes.is_empty() && !self.replace_data && !is_again {
            return Err(Failure::new(
                Kind::Blocked,
                format!(
                    "this host has data of `{}`: {}",
                    appliance.name(),
                    removal.volumes.join(", ")
                ),
            )
            .hint("to lose it and have that of the snapshot instead, add `--replace-data`")
            .hint("`lfctl backup create --to DIR` keeps what is there"));
        }
        Ok(InTheWay {
            containers: removal.containers,
            volumes: removal.volumes,
        })
    }

    async fn restore<'a>(
        &self,
        context: &'a Context,
        engine: &'a Docker,
        facts: &'a EngineFacts,
        appliance: &'a Appliance,
        found: Found<'a>,
    ) -> Result<Restore<'a, Docker>, Failure> {
        let Found {
            source,
            bundle,
            before,
        } = found;
        let target = match (bundle, &before) {
            (Some(bundle), _) => {
                let site = self.site(&source, bundle.stack())?;
                let known = images::known(engine, bundle, facts, before.as_ref()).await?;
                Blueprint::of_bundle(appliance.name(), bundle, site, known)
            }
            (None, Some(state)) => {
                let wanted = &source.manifest.generation;
                let generation = recorded(state, wanted).unwrap_or(&state.current);
                let stack = appliance.stack_of(generation)?;
                let site = self.site(&source, &stack)?;
                require_images(engine, generation.images.values()).await?;
                Blueprint::of_record(appliance.name(), generation, &stack, site)
            }
            (None, None) => return Err(Failure::new(Kind::Bug, "a restore from nothing")),
        };
        let secrets = secrets(&source, &target)?;
        let bring_up = BringUp {
            engine,
            facts,
            appliance,
            paths: &context.paths,
            command: "restore",
            bundle,
            bases: &[],
            target,
            previous: None,
            cold: false,
            schema_change: SchemaChange::Additive,
            before,
            secrets,
            reporter: context.reporter.as_ref(),
        };
        Ok(Restore { bring_up, source })
    }

    fn site(&self, source: &Source, stack: &Stack) -> Result<SiteInput, Failure> {
        let (from, text) = match &self.site {
            Some(path) => (path.clone(), read_site(path)?),
            None => ("site.toml of the snapshot".into(), source.site_text()?),
        };
        Ok(SiteInput::parse(&from, text, stack)?)
    }

    /// The host has the password from now on, and knows of the backup where it
    /// knows of no later one.
    fn remember(
        &self,
        appliance: &Appliance,
        repository: &Repository,
        source: &Source,
    ) -> Result<(), Failure> {
        self.repository.password.keep(appliance)?;
        let mut records = Records::load(appliance)?;
        let at = source.manifest.at;
        if records.backup.as_ref().is_some_and(|last| last.at > at) {
            return Ok(());
        }
        records.backed_up(LastBackup {
            at: source.manifest.at,
            repository: repository.path().to_owned(),
            snapshot: source.snapshot.id.as_str().to_owned(),
            release: source.manifest.generation.release.clone(),
            key: repository.key_id(),
        });
        Ok(records.save(appliance)?)
    }
}

/// What a restore is made from.
struct Found<'a> {
    source: Source,
    bundle: Option<&'a Bundle>,
    before: Option<State>,
}

/// The generation of the same bundle whose images the engine keeps.
fn recorded<'a>(state: &'a State, wanted: &Generation) -> Option<&'a Generation> {
    let mut kept = [Some(&state.current), state.previous.as_ref()]
        .into_iter()
        .flatten();
    kept.find(|one| one.bundle == wanted.bundle)
}

async fn run(
    context: &Context,
    plan: &Plan<restore::Step>,
    restore: &mut Restore<'_, Docker>,
) -> Result<(), Failure> {
    let change = &restore.bring_up;
    let appliance = change.appliance;
    let bundle = Some(change.target.bundle);
    let key = change.bundle.map(signer);
    let purpose = Purpose {
        bundle,
        release: Some(change.target.release.clone()),
    };
    let work = changing::run(context, appliance, plan, purpose, restore);
    let result = Box::pin(work).await;
    let entry = NewEntry {
        command: "restore".to_owned(),
        bundle,
        key,
        result: result
            .as_ref()
            .map_or_else(Failure::first_line, |()| "done".to_owned()),
    };
    let audited = audit::append(&appliance.audit_log(), entry);
    result?;
    Ok(audited?)
}

/// The snapshot of this name, with its manifest.
pub(super) fn find(repository: &Repository, name: &str) -> Result<Source, Failure> {
    let reader = repository.reader()?;
    let snapshot = repository.snapshot(name)?;
    let manifest = Manifest::read(&reader, &snapshot)?.ok_or_else(|| {
        let message = format!("snapshot {} was not made by lfctl", snapshot.id);
        Failure::new(Kind::Failed, message).hint("`lfctl backup list` shows those that were")
    })?;
    Ok(Source {
        reader,
        snapshot,
        manifest,
    })
}

/// The secrets of the snapshot, with those of `site.toml`.
pub(super) fn secrets(source: &Source, target: &Blueprint) -> Result<SecretStore, Failure> {
    let name = format!("secrets.toml of snapshot {}", source.snapshot.id);
    let text = source.secrets_text()?;
    let mut secrets: SecretStore = versioned::parse(Path::new(&name), text.as_bytes())?;
    let rules = &target.stack.secrets;
    secrets.merge(&target.site.secrets, rules)?;
    secrets.generate_missing(rules)?;
    Ok(secrets)
}

async fn plan(
    context: &Context,
    restore: &Restore<'_, Docker>,
    in_the_way: &InTheWay,
) -> Result<Plan<restore::Step>, Failure> {
    let change = &restore.bring_up;
    let existing = observe::existing(change).await?;
    if let Some(foreign) = existing.foreign.first() {
        let message = format!("{foreign} exists and is not of lfctl");
        return Err(Failure::new(Kind::Blocked, message)
            .hint("remove or rename it, or restore under another name with `--name NAME`"));
    }
    // A host that has nothing yet is judged as before an install.
    if change.bundle.is_some() && *in_the_way == InTheWay::default() && change.before.is_none() {
        let found = survey(change, |change, observed| {
            install::plan(&change.target.stack, observed)
        });
        found.await?.refuse_if_blocked(context)?;
    }
    let observed = observe::observe(change, &existing).await?;
    Ok(restore::plan(&change.target.stack, &observed, in_the_way))
}
