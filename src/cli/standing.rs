//! What is installed, made ready for a change that needs no bundle.

use super::args::ChangeArgs;
use super::failure::{Failure, Kind};
use super::installed::installed;
use super::survey::secrets;
use super::{Context, appliance_engine, unfinished};
use crate::appliance::Appliance;
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::State;
use crate::change::observe;
use crate::change::runner::Purpose;
use crate::change::{Blueprint, BringUp};
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, EngineFacts, Images as _};
use crate::host::audit::NewEntry;
use crate::host::lock::Lock;
use crate::stack::release::SchemaChange;
use crate::sys::host::PortState;

/// An installed appliance and its engine. While this lives, no other lfctl
/// changes the appliance, unless nothing is to change.
pub(super) struct Standing {
    pub(super) appliance: Appliance,
    pub(super) engine: Docker,
    facts: EngineFacts,
    pub(super) before: State,
    /// The command that had been committed before it broke off, and that is
    /// finished now.
    pub(super) finished: Option<String>,
    _lock: Option<Lock>,
}

impl Standing {
    /// Takes the lock, and finishes or undoes what broke off before, unless
    /// this is a dry run.
    pub(super) async fn of(args: &ChangeArgs, context: &Context) -> Result<Self, Failure> {
        let appliance = args.name.appliance(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let lock = (!args.dry_run).then(|| appliance.lock()).transpose()?;
        if let Some(state) = appliance.state()? {
            appliance_engine::check(appliance.name(), &state, &engine).await?;
        }
        let finished = if args.dry_run {
            None
        } else {
            unfinished::before_change(context, &engine, &facts, &appliance).await?
        };
        Ok(Self {
            before: installed(&appliance)?,
            finished,
            appliance,
            engine,
            facts,
            _lock: lock,
        })
    }

    /// A change from what runs to `target`.
    pub(super) fn change<'a>(
        &'a self,
        context: &'a Context,
        command: &'static str,
        target: Blueprint,
    ) -> Result<BringUp<'a, Docker>, Failure> {
        Ok(BringUp {
            engine: &self.engine,
            facts: &self.facts,
            appliance: &self.appliance,
            paths: &context.paths,
            command,
            bundle: None,
            bases: &[],
            secrets: secrets(&self.appliance, &target.stack, &target.site)?,
            target,
            previous: Some(self.current()?),
            cold: false,
            schema_change: SchemaChange::Additive,
            before: Some(self.before.clone()),
            reporter: context.reporter.as_ref(),
        })
    }

    /// What journal and log say of a change to what is installed.
    pub(super) fn purpose(&self, command: String) -> (Purpose, NewEntry) {
        let current = &self.before.current;
        let purpose = Purpose {
            bundle: Some(current.bundle),
            release: Some(current.release.clone()),
        };
        let entry = NewEntry {
            command,
            bundle: Some(current.bundle),
            key: current.key.clone(),
            ..NewEntry::default()
        };
        (purpose, entry)
    }

    /// What runs, or is to run.
    pub(super) fn current(&self) -> Result<Blueprint, Failure> {
        Ok(Blueprint::of_generation(
            &self.appliance,
            &self.before.current,
        )?)
    }

    /// Fails where the engine lost one of `images`.
    pub(super) async fn require_images(
        &self,
        images: impl Iterator<Item = &InstalledImage>,
    ) -> Result<(), Failure> {
        require_images(&self.engine, images).await
    }
}

/// Fails where the engine lost one of `images`.
pub(super) async fn require_images(
    engine: &Docker,
    images: impl Iterator<Item = &InstalledImage>,
) -> Result<(), Failure> {
    for image in images {
        if engine.image(&image.id).await?.is_none() {
            return Err(Failure::new(
                Kind::Blocked,
                format!("the engine does not have {} any more", image.reference),
            )
            .hint("load it again from its bundle: `lfctl bundle load BUNDLE`"));
        }
    }
    Ok(())
}

/// Fails where the gateway could not listen.
pub(super) async fn require_port(change: &BringUp<'_, Docker>) -> Result<(), Failure> {
    let existing = observe::existing(change).await?;
    let (stack, listen) = (&change.target.stack, change.target.site.listen);
    let why = match observe::port(&existing, &stack.langfuse.gateway, listen)? {
        Some((_, PortState::InUse)) => "the port is in use",
        Some((_, PortState::NotLocal)) => "the address is none of this host's",
        // The engine opens the port, and mostly may do more.
        Some((_, PortState::Free | PortState::Denied)) | None => return Ok(()),
    };
    Err(
        Failure::new(Kind::Blocked, format!("cannot listen on {listen}: {why}"))
            .hint("change `listen` in site.toml"),
    )
}

/// The failure for a volume that is gone.
pub(super) fn lost(volume: &str) -> Failure {
    Failure::new(
        Kind::Blocked,
        format!("volume `{volume}` is gone, and its data with it"),
    )
    .hint("put the data back: `lfctl restore --from DIR BUNDLE`")
}
