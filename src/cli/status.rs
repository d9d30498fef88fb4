//! `lfctl status`: what is installed and how it stands.

use std::fmt::Write;

use comfy_table::{Table, TableStyle};
use serde::Serialize;

use super::Context;
use super::failure::{Failure, Kind};
use crate::appliance::Appliance;
use crate::appliance::journal::Unfinished;
use crate::appliance::state::{State, Status};
use crate::engine::docker::Docker;
use crate::engine::{Container, Containers, LABEL_PART};

/// Arguments of `lfctl status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this appliance
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    name: String,
    status: Option<Status>,
    release: Option<String>,
    bundle: Option<String>,
    listen: Option<String>,
    unfinished: Option<String>,
    changing: bool,
    containers: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    service: String,
    state: String,
    health: Option<String>,
    restarts: u64,
    started: Option<String>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let wanted = self.name;
        let names = match &wanted {
            Some(name) => vec![name.clone()],
            None => Appliance::all(&context.paths)?,
        };
        let mut reports = Vec::new();
        if !names.is_empty() {
            let engine = Docker::connect(&context.engine).await?;
            for name in names {
                let appliance = Appliance::named(&context.paths, &name)?;
                let state = appliance.state()?;
                let unfinished = appliance.journal().unfinished()?;
                let containers = engine.containers(&name).await?;
                if wanted.is_some()
                    && state.is_none()
                    && unfinished.is_none()
                    && containers.is_empty()
                {
                    return Err(Failure::new(
                        Kind::Failed,
                        format!("there is no appliance `{name}` on this host"),
                    )
                    .hint("`lfctl status` lists those that are"));
                }
                reports.push(report(
                    name,
                    state.as_ref(),
                    unfinished,
                    appliance.is_locked()?,
                    containers,
                ));
            }
        }
        context.print(&reports, &text(&reports))
    }
}

fn report(
    name: String,
    state: Option<&State>,
    unfinished: Option<Unfinished>,
    changing: bool,
    containers: Vec<Container>,
) -> Report {
    let mut rows: Vec<_> = containers.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.service.cmp(&b.service));
    Report {
        name,
        status: state.map(|state| state.status),
        release: state.map(|state| state.current.release.to_string()),
        bundle: state.map(|state| state.current.bundle.to_string()),
        listen: state.map(|state| state.current.listen.to_string()),
        unfinished: unfinished.map(|run| {
            let how = if changing { "is running" } else { "broke off" };
            match run.step {
                Some(step) => format!("{} {how} at `{step}`", run.command),
                None => format!("{} {how}", run.command),
            }
        }),
        changing,
        containers: rows,
    }
}

fn row(container: Container) -> Row {
    Row {
        service: container
            .labels
            .get(LABEL_PART)
            .cloned()
            .unwrap_or(container.name),
        state: word(&container.state),
        health: container.health.as_ref().map(word),
        restarts: container.restarts,
        started: container.started_at,
    }
}

/// The word that JSON uses too.
pub(super) fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn text(reports: &[Report]) -> String {
    if reports.is_empty() {
        return "no appliance is installed on this host".to_owned();
    }
    let mut text = String::new();
    for report in reports {
        let status = report
            .status
            .as_ref()
            .map_or("not installed".to_owned(), word);
        let release = report.release.as_deref().unwrap_or("-");
        let listen = report.listen.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{}: {release}, {status}, gateway on {listen}",
            report.name
        );
        if let Some(unfinished) = &report.unfinished {
            let _ = writeln!(
                text,
                "  {unfinished}{}",
                if report.changing {
                    ""
                } else {
                    "; run it again to continue"
                }
            );
        }
        let mut table = Table::new();
        table
            .load_style(TableStyle::new())
            .set_header(["service", "state", "health", "restarts", "started"]);
        for row in &report.containers {
            table.add_row([
                row.service.clone(),
                row.state.clone(),
                row.health.clone().unwrap_or_else(|| "-".to_owned()),
                row.restarts.to_string(),
                row.started.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        let _ = writeln!(text, "{table}");
    }
    text
}
