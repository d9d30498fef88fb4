//! A change that broke off: finished or undone before anything else begins.

use super::failure::{Failure, Kind};
use super::survey::secrets;
use super::{Context, changing};
use crate::appliance::Appliance;
use crate::appliance::journal::Unfinished;
use crate::appliance::state::State;
use crate::change::backup::Backup;
use crate::change::plan::Plan;
use crate::change::recover::{self, Recovery};
use crate::change::runner::{Interrupt, Purpose, Runner};
use crate::change::{Blueprint, BringUp, Step};
use crate::engine::{ContainerEngine, EngineFacts};
use crate::host::audit::{self, NewEntry};
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;

pub(super) fn say(context: &Context, code: &str, text: impl Into<String>) {
    notice(context.reporter.as_ref(), Level::Info, code, text);
}

/// Finishes or undoes what an upgrade or a rollback left behind. An install or
/// an uninstall that broke off is left to that command. Returns the command
/// that had been committed, if it is finished now.
///
/// # Errors
///
/// A step cannot be undone or cleared up.
pub(super) async fn before_change<E: ContainerEngine>(
    context: &Context,
    engine: &E,
    facts: &EngineFacts,
    appliance: &Appliance,
) -> Result<Option<String>, Failure> {
    // Boxed: it is as large as any change, and part of most of them.
    Box::pin(take_up(context, engine, facts, appliance)).await
}

async fn take_up<E: ContainerEngine>(
    context: &Context,
    engine: &E,
    facts: &EngineFacts,
    appliance: &Appliance,
) -> Result<Option<String>, Failure> {
    let Some(state) = appliance.state()? else {
        return Ok(None);
    };
    let recovery = recover::decide(appliance, &state)?;
    let recovery = match recovery {
        Recovery::Nothing => return Ok(None),
        Recovery::UndoBackup(run) => {
            undo_backup(context, engine, appliance, state, &run).await?;
            return Ok(None);
        }
        other => other,
    };
    let target = Blueprint::of_generation(appliance, &state.current)?;
    let mut change = BringUp {
        engine,
        facts,
        appliance,
        paths: &context.paths,
        command: "recover",
        bundle: None,
        bases: &[],
        secrets: secrets(appliance, &target.stack, &target.site)?,
        previous: Some(target.clone()),
        target,
        cold: false,
        schema_change: SchemaChange::Additive,
        before: Some(state.clone()),
        reporter: context.reporter.as_ref(),
    };
    let result = match recovery {
        Recovery::ClearUp {
            command,
            plan,
            previous,
        } => {
            change.previous = previous.map(|previous| *previous);
            let result = clear_up(context, &plan, &mut change).await;
            result.map(|()| Some(command))
        }
        Recovery::Undo(run) => undo(context, &run, &mut change).await.map(|()| None),
        Recovery::Nothing | Recovery::UndoBackup(_) => Ok(None),
    };
    let entry = NewEntry {
        command: "recover".to_owned(),
        bundle: Some(state.current.bundle),
        key: state.current.key.clone(),
        result: result
            .as_ref()
            .map_or_else(Failure::first_line, |_| "done".to_owned()),
    };
    audit::append(&appliance.audit_log(), entry)?;
    result
}

async fn undo_backup<E: ContainerEngine>(
    context: &Context,
    engine: &E,
    appliance: &Appliance,
    state: State,
    run: &Unfinished,
) -> Result<(), Failure> {
    let (journal, interrupt) = (appliance.journal(), Interrupt::default());
    let runner = Runner {
        journal: &journal,
        reporter: context.reporter.as_ref(),
        interrupt: &interrupt,
    };
    let secrets = appliance.secrets()?.unwrap_or_default();
    let mut backup = Backup::new(engine, appliance, state, secrets, None);
    runner.undo_unfinished(run, &mut backup).await?;
    let text = if run.committed {
        "the backup that broke off had written its snapshot; what it left behind is removed"
    } else {
        "the backup that broke off is undone: the worker runs, and no snapshot was written"
    };
    say(context, "recover.undone", text);
    Ok(())
}

async fn undo<E: ContainerEngine>(
    context: &Context,
    run: &Unfinished,
    change: &mut BringUp<'_, E>,
) -> Result<(), Failure> {
    let (journal, interrupt) = (change.appliance.journal(), Interrupt::default());
    let runner = Runner {
        journal: &journal,
        reporter: context.reporter.as_ref(),
        interrupt: &interrupt,
    };
    let release = change.target.release.clone();
    runner.undo_unfinished(run, change).await?;
    say(
        context,
        "recover.undone",
        format!(
            "the {} that broke off was undone: {release} runs",
            run.command
        ),
    );
    Ok(())
}

async fn clear_up<E: ContainerEngine>(
    context: &Context,
    plan: &Plan<Step>,
    change: &mut BringUp<'_, E>,
) -> Result<(), Failure> {
    let release = change.target.release.clone();
    let appliance = change.appliance;
    changing::run(context, appliance, plan, Purpose::default(), change).await?;
    say(
        context,
        "recover.finished",
        format!("the change that broke off is finished: {release} runs"),
    );
    Ok(())
}

/// Whether a restore broke off behind its commit: what it restored runs.
pub(super) fn is_committed_restore(appliance: &Appliance) -> Result<bool, Failure> {
    let Some(state) = appliance.state()? else {
        return Ok(false);
    };
    let recovery = recover::decide(appliance, &state)?;
    Ok(matches!(recovery, Recovery::ClearUp { command, .. } if command == "restore"))
}

/// Whether a restore broke off before its commit.
pub(super) fn is_unfinished_restore(appliance: &Appliance) -> Result<bool, Failure> {
    let unfinished = appliance.journal().unfinished()?;
    Ok(unfinished.is_some_and(|run| run.command == "restore" && !run.committed))
}

/// Refuses to go on where a restore broke off: half of the data is no data.
pub(super) fn refuse_unfinished_restore(appliance: &Appliance) -> Result<(), Failure> {
    if !is_unfinished_restore(appliance)? {
        return Ok(());
    }
    let name = appliance.name();
    let message = format!("a restore of `{name}` broke off, and its data is not whole");
    let hint = format!("run it again: `lfctl restore --from DIR --name {name} BUNDLE`");
    Err(Failure::new(Kind::Interrupted, message).hint(hint))
}
