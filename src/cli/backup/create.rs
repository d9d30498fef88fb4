//! `lfctl backup create`: one snapshot of everything, while the appliance
//! serves.

use std::path::{Path, PathBuf};

use indicatif::HumanBytes;

use super::repository::RepositoryPassword;
use crate::appliance::Appliance;
use crate::appliance::backup::{FailedRun, Records};
use crate::appliance::state::State;
use crate::change::backup::{self, Backup, Step};
use crate::change::plan::Plan;
use crate::change::runner::Purpose;
use crate::cli::args::NameArg;
use crate::cli::failure::{Failure, Kind};
use crate::cli::installed::installed;
use crate::cli::survey::print_steps;
use crate::cli::{Context, appliance_engine, changing, unfinished};
use crate::engine::ContainerEngine as _;
use crate::engine::docker::Docker;
use crate::facts::DiskNeed;
use crate::host::audit::{self, NewEntry};
use crate::report::event::{Level, notice};
use crate::sys::disk::Disk;

/// Arguments of `lfctl backup create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the repository, such as a mounted share or disk; created if missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    password: RepositoryPassword,
    /// Print the steps and the bytes that they will copy, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let path = std::path::absolute(&self.to)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let _lock = (!self.dry_run).then(|| appliance.lock()).transpose()?;
        if !self.dry_run {
            unfinished::before_change(context, &engine, &facts, &appliance).await?;
        }
        let state = installed(&appliance)?;
        appliance_engine::check(appliance.name(), &state, &engine).await?;
        let job = Job {
            engine: &engine,
            appliance: &appliance,
            state: &state,
            path: &path,
        };
        let plan = job.plan().await?;
        if self.dry_run {
            return print_steps(context, &plan);
        }
        job.write(context, &plan, &self.password).await
    }
}

/// One snapshot of what is installed.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Job<'a> {
    pub engine: &'a Docker,
    pub appliance: &'a Appliance,
    /// What is installed.
    pub state: &'a State,
    /// Directory of the repository.
    pub path: &'a Path,
}

impl Job<'_> {
    /// The steps, with the bytes that they copy.
    pub(in crate::cli) async fn plan(self) -> Result<Plan<Step>, Failure> {
        refuse_unknown_stores(self.state)?;
        let stores = &self.state.stack.stores;
        let sizes = backup::sizes(self.engine, self.appliance, stores).await?;
        Ok(backup::plan(&self.state.stack, &sizes, &room(self.path)))
    }

    /// Does them, and says what was written.
    pub(in crate::cli) async fn write(
        self,
        context: &Context,
        plan: &Plan<Step>,
        password: &RepositoryPassword,
    ) -> Result<(), Failure> {
        let Self {
            appliance,
            state,
            path,
            ..
        } = self;
        warn_if_tight(context, plan, path);
        let repository = password.open_or_make(path, context, appliance)?;
        let secrets = appliance.secrets()?.unwrap_or_default();
        let purpose = Purpose {
            bundle: Some(state.current.bundle),
            release: Some(state.current.release.clone()),
        };
        let entry = |result: &Result<(), Failure>| NewEntry {
            command: "backup create".to_owned(),
            bundle: purpose.bundle,
            key: None,
            result: result
                .as_ref()
                .map_or_else(Failure::first_line, |()| "done".to_owned()),
        };
        let state = state.clone();
        let mut backup = Backup::new(self.engine, appliance, state, secrets, Some(repository));
        let work = changing::run(context, appliance, plan, purpose.clone(), &mut backup);
        let result = Box::pin(work).await.map_err(after_undo);
        let audited = audit::append(&appliance.audit_log(), entry(&result));
        if let Err(failure) = &result {
            remember_failure(appliance, failure)?;
        }
        result?;
        audited?;
        say(context, &backup, path);
        Ok(())
    }
}

/// For doctor: a timer that fails every night has nobody who reads its output.
fn remember_failure(appliance: &Appliance, failure: &Failure) -> Result<(), Failure> {
    let mut records = Records::load(appliance)?;
    records.failed_backup = Some(FailedRun::now(failure.first_line()));
    Ok(records.save(appliance)?)
}

/// What an undone backup leaves is the appliance as it was.
fn after_undo(failure: Failure) -> Failure {
    if failure.kind() == Kind::RolledBack {
        return failure.hint("the appliance runs as before, and no snapshot was written");
    }
    failure
}

fn refuse_unknown_stores(state: &State) -> Result<(), Failure> {
    if !state.stack.stores.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Blocked,
        format!(
            "{} does not say where its data is: its bundle was made before lfctl made backups",
            state.current.release
        ),
    )
    .hint(
        "make its bundle again with this lfctl, and take it with `lfctl upgrade --offline BUNDLE`",
    ))
}

/// The filesystem of the repository, or of the nearest directory above that
/// exists.
fn room(path: &Path) -> DiskNeed {
    let disk = path.ancestors().find_map(|at| Disk::of(at).ok());
    DiskNeed::on(disk.as_ref(), &path.display().to_string(), "backup", 0)
}

/// Says so if a first backup may not fit; how far data shrinks is not known.
fn warn_if_tight(context: &Context, plan: &Plan<Step>, path: &Path) {
    let needs = plan.steps.iter().flat_map(|one| &one.estimate.disk);
    let (bytes, free) = needs.fold((0, None), |(sum, _), need| (sum + need.bytes, need.free));
    if path.join("config").exists() || free.is_none_or(|free| free >= bytes) {
        return;
    }
    notice(
        context.reporter.as_ref(),
        Level::Warning,
        "backup.room",
        format!(
            "{} has {} free, and the data takes {} before compression",
            path.display(),
            HumanBytes(free.unwrap_or_default()),
            HumanBytes(bytes)
        ),
    );
}

fn say<E: crate::engine::ContainerEngine>(context: &Context, backup: &Backup<'_, E>, path: &Path) {
    let Some((snapshot, totals)) = &backup.written else {
        return;
    };
    let found = backup.found();
    notice(
        context.reporter.as_ref(),
        Level::Info,
        "backup.written",
        format!(
            "snapshot {} in {}: {} rows, {} objects; {} read, {} written",
            snapshot.id,
            path.display(),
            found.rows(),
            found.objects(),
            HumanBytes(totals.read),
            HumanBytes(totals.stored)
        ),
    );
}
