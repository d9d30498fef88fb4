//! `lfctl recover`: finishes or undoes a change that broke off.

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::survey::secrets;
use super::{Context, changing};
use crate::appliance::Appliance;
use crate::appliance::journal::{OnBreak, Unfinished};
use crate::change::plan::Plan;
use crate::change::recover::{self, Recovery};
use crate::change::runner::{Interrupt, Purpose, Runner};
use crate::change::{Blueprint, BringUp, Step};
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, EngineFacts};
use crate::host::audit::{self, Deed};
use crate::report::event::{Level, notice};
use crate::stack::release::SchemaChange;

/// Arguments of `lfctl recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = Appliance::named(&context.paths, &self.name.name)?;
        let _lock = appliance.lock()?;
        let Some(run) = appliance.journal().unfinished()? else {
            say(
                context,
                "recover.nothing",
                "no change broke off: nothing to do",
            );
            return Ok(());
        };
        if run.on_break == OnBreak::Resume && !run.committed {
            let name = appliance.name();
            let failure = Failure::new(
                Kind::Interrupted,
                format!(
                    "the {} of `{name}` broke off and goes on where it stopped",
                    run.command
                ),
            );
            return Err(failure.hint(match run.command.as_str() {
                "uninstall" => format!("run it again: `lfctl uninstall --name {name}`"),
                _ => format!("run it again: `lfctl install --offline --name {name} BUNDLE`"),
            }));
        }
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        before_change(context, &engine, &facts, &appliance).await
    }
}

fn say(context: &Context, code: &str, text: impl Into<String>) {
    notice(context.reporter.as_ref(), Level::Info, code, text);
}

/// Finishes or undoes what an upgrade or a rollback left behind. An install or
/// an uninstall that broke off is left to that command.
///
/// # Errors
///
/// A step cannot be undone or cleared up.
pub(super) async fn before_change<E: ContainerEngine>(
    context: &Context,
    engine: &E,
    facts: &EngineFacts,
    appliance: &Appliance,
) -> Result<(), Failure> {
    // Boxed: it is as large as any change, and part of most of them.
    Box::pin(take_up(context, engine, facts, appliance)).await
}

async fn take_up<E: ContainerEngine>(
    context: &Context,
    engine: &E,
    facts: &EngineFacts,
    appliance: &Appliance,
) -> Result<(), Failure> {
    let Some(state) = appliance.state()? else {
        return Ok(());
    };
    let recovery = recover::decide(appliance, &state)?;
    if let Recovery::Nothing = recovery {
        return Ok(());
    }
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
        schema_change: SchemaChange::Additive,
        before: Some(state.clone()),
        reporter: context.reporter.as_ref(),
    };
    let result = match recovery {
        Recovery::ClearUp { plan, previous } => {
            change.previous = previous.map(|previous| *previous);
            clear_up(context, &plan, &mut change).await
        }
        Recovery::Undo(run) => undo(context, &run, &mut change).await,
        Recovery::Nothing => Ok(()),
    };
    let deed = Deed {
        command: "recover".to_owned(),
        bundle: Some(state.current.bundle),
        key: state.current.key.clone(),
        result: result
            .as_ref()
            .map_or_else(Failure::first_line, |()| "done".to_owned()),
    };
    audit::append(&appliance.audit_path(), deed)?;
    result
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
