//! `lfctl backup drill`: restores a snapshot beside what runs, proves it, and
//! removes it all.

use std::net::TcpListener;
use std::path::PathBuf;

use super::repository::RepositoryArg;
use crate::appliance::Appliance;
use crate::appliance::backup::{FailedRun, Records};
use crate::appliance::state::State;
use crate::change::restore::{self, InTheWay, Restore, Source};
use crate::change::runner::Purpose;
use crate::change::uninstall::{self, Removal, Uninstall};
use crate::change::{Blueprint, BringUp, SiteInput, observe};
use crate::cli::args::NameArg;
use crate::cli::failure::{Failure, Kind};
use crate::cli::installed::installed;
use crate::cli::restore::{find, secrets};
use crate::cli::{Context, appliance_engine, changing};
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine as _, EngineFacts};
use crate::host::audit::{self, NewEntry};
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;
use crate::sys::paths::Paths;

/// Arguments of `lfctl backup drill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    repository: RepositoryArg,
    #[command(flatten)]
    name: NameArg,
    /// The snapshot: its id, the beginning of it, or `latest`
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
}

/// Characters of the longest name of an appliance, less those of the ending.
const NAME: usize = 24;

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = appliance.lock()?;
        let state = installed(&appliance)?;
        appliance_engine::check(appliance.name(), &state, &engine).await?;
        let repository = self.repository.open(&appliance)?;
        let source = find(&repository, &self.snapshot)?;
        refuse_other_release(&state, &source)?;
        let dir = tempfile::tempdir()?;
        let paths = Paths::below(dir.path());
        let short: String = appliance.name().chars().take(NAME).collect();
        let copy = Appliance::named(&paths, &format!("{}-drill", short.trim_end_matches('-')))?;
        // What a drill that was killed has left.
        clear(context, &engine, &copy).await?;
        let snapshot = source.snapshot.id.clone();
        let drilled = drill(context, &engine, &facts, &copy, (&paths, &state, source)).await;
        let cleared = clear(context, &engine, &copy).await;
        let result = drilled.and(cleared);
        let entry = NewEntry {
            command: "backup drill".to_owned(),
            bundle: Some(state.current.bundle),
            key: None,
            result: result
                .as_ref()
                .map_or_else(Failure::first_line, |()| format!("{snapshot} restores")),
        };
        let audited = audit::append(&appliance.audit_log(), entry);
        let mut records = Records::load(&appliance)?;
        match &result {
            Ok(()) => records.drilled(snapshot.as_str()),
            Err(failure) => records.failed_drill = Some(FailedRun::now(failure.first_line())),
        }
        records.save(&appliance)?;
        result?;
        audited?;
        let text = format!(
            "snapshot {snapshot} restores: rows and objects are those of the backup, and an event \
             went in and came back; the copy is removed"
        );
        notice(context.reporter.as_ref(), Level::Info, "drill.done", text);
        Ok(())
    }
}

fn refuse_other_release(state: &State, source: &Source) -> Result<(), Failure> {
    let made_by = &source.manifest.generation;
    if made_by.bundle == state.current.bundle {
        return Ok(());
    }
    let message = format!(
        "the snapshot was made by {}, and the engine has the images of {}",
        made_by.release, state.current.release
    );
    Err(Failure::new(Kind::Blocked, message)
        .hint("drill a snapshot of the release that runs: `lfctl backup create --to DIR`, then drill again"))
}

/// Restores a copy and proves it.
async fn drill(
    context: &Context,
    engine: &Docker,
    facts: &EngineFacts,
    copy: &Appliance,
    (paths, state, source): (&Paths, &State, Source),
) -> Result<(), Failure> {
    let site = site(&source, state)?;
    let target = Blueprint::of_record(copy.name(), &state.current, &state.stack, site);
    let secrets = secrets(&source, &target)?;
    let bring_up = BringUp {
        engine,
        facts,
        appliance: copy,
        paths,
        command: "drill",
        bundle: None,
        bases: &[],
        target,
        previous: None,
        cold: false,
        schema_change: SchemaChange::Additive,
        before: None,
        secrets,
        reporter: context.reporter.as_ref(),
    };
    let existing = observe::existing(&bring_up).await?;
    let observed = observe::observe(&bring_up, &existing).await?;
    let plan = restore::plan(&state.stack, &observed, &InTheWay::default());
    let mut restore = Restore { bring_up, source };
    let work = changing::run(context, copy, &plan, Purpose::default(), &mut restore);
    Box::pin(work).await
}

/// The site of the snapshot, on a port of loopback that is free.
fn site(source: &Source, state: &State) -> Result<SiteInput, Failure> {
    let from = PathBuf::from("site.toml of the snapshot");
    let mut site = SiteInput::parse(&from, source.site_text()?, &state.stack)?;
    site.config.listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(site)
}

/// Removes the copy: containers, networks and volumes. Its images are those of
/// the appliance.
async fn clear(context: &Context, engine: &Docker, copy: &Appliance) -> Result<(), Failure> {
    let found = uninstall::find(engine, copy, None, true).await?;
    let removal = Removal {
        tags: Vec::new(),
        ..found
    };
    if !removal.has_objects() {
        return Ok(());
    }
    let plan = uninstall::plan(&removal, false);
    let mut actions = Uninstall {
        engine,
        appliance: copy,
        state: copy.state()?,
    };
    let work = changing::run(context, copy, &plan, Purpose::default(), &mut actions);
    Box::pin(work).await
}
