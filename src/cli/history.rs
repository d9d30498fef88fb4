//! `lfctl history`: the generations of an appliance.

use std::fmt::Write;

use serde::Serialize;

use super::Context;
use super::args::NameArg;
use super::failure::{Failure, Kind};
use crate::appliance::generation::{Comparison, Generation};

/// Arguments of `lfctl history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
}

/// One generation as it is shown.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    #[serde(flatten)]
    generation: Generation,
    compared: Comparison,
    current: bool,
    /// A rollback goes back to it.
    previous: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let Some(state) = appliance.state()? else {
            return Err(Failure::new(
                Kind::Failed,
                format!("there is no appliance `{}` on this host", appliance.name()),
            )
            .hint("`lfctl status` lists those that are"));
        };
        let mut all = appliance.generations()?;
        // What is only staged was never committed.
        all.retain(|one| one.number < state.current.number);
        all.push(state.current.clone());
        let mut rows = Vec::new();
        for (index, generation) in all.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| all.get(index));
            let previous = state.previous.as_ref();
            rows.push(Row {
                compared: generation.compared_to(before),
                current: generation.number == state.current.number,
                previous: previous.is_some_and(|one| one.number == generation.number),
                generation: generation.clone(),
            });
        }
        context.print(&rows, &text(&rows))
    }
}

fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let one = &row.generation;
        let mark = match (row.current, row.previous) {
            (true, _) => "  runs",
            (_, true) => "  rollback goes here",
            _ => "",
        };
        let _ = writeln!(
            text,
            "{:>3}  {:.0}  {:<9} {} ({}){mark}",
            one.number, one.at, one.made_by, one.release, row.compared
        );
    }
    text
}
