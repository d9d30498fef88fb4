//! `lfctl status`: what is installed and how it stands. What is on disk is
//! shown whether the engine answers or not.

use std::fmt::Write;

use clap_complete::ArgValueCandidates;
use comfy_table::{Table, TableStyle};
use serde::Serialize;

use super::candidates::appliances;
use super::failure::{Failure, Kind};
use super::{Context, appliance_engine};
use crate::appliance::Appliance;
use crate::appliance::journal::Unfinished;
use crate::appliance::state::{State, Status};
use crate::engine::docker::Docker;
use crate::engine::{Container, ContainerState, Containers, LABEL_PART};
use crate::report::human::fit_stdout;
use crate::sys::text::chain;

/// Arguments of `lfctl status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this appliance
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(appliances))]
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    name: String,
    status: Option<Status>,
    release: Option<String>,
    /// Versions of Langfuse's SDKs that fit the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<String>,
    bundle: Option<String>,
    /// Where people reach it.
    url: Option<String>,
    listen: Option<String>,
    /// Services that were stopped on purpose and do not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    stopped: Vec<String>,
    unfinished: Option<String>,
    changing: bool,
    /// Why the engine could not be asked for its containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_problem: Option<String>,
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

/// The engine, or why it does not answer.
type Engine = Result<Docker, Failure>;

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => Appliance::all(&context.paths)?,
        };
        if names.is_empty() {
            let looked = context.looked_in(context.paths.appliances(), "lfctl status");
            let text = format!("no appliance is installed here; {looked}");
            return context.print(&Vec::<Report>::new(), &text);
        }
        let engine: Engine = Docker::connect(&context.engine).await.map_err(Into::into);
        let mut reports = Vec::new();
        let mut problem = None;
        for name in names {
            let appliance = Appliance::named(&context.paths, &name)?;
            let (report, failure) = report(&appliance, &engine).await?;
            let is_there = report.status.is_some()
                || report.unfinished.is_some()
                || !report.containers.is_empty();
            if self.name.is_some() && !is_there && failure.is_none() {
                return Err(Failure::new(
                    Kind::Failed,
                    format!("there is no appliance `{name}` on this host"),
                )
                .hint("`lfctl status` lists those that are"));
            }
            problem = problem.or(failure);
            reports.push(report);
        }
        let failure = problem.or(engine.err());
        let mut text = text(&reports);
        if let Some(failure) = &failure {
            for hint in &failure.report().hints {
                let _ = writeln!(text, "hint: {hint}");
            }
        }
        let text = fit_stdout(&context.hints.add_to(&text), 4);
        context.print(&reports, &text)?;
        failure.map_or(Ok(()), |failure| Err(failure.already_shown()))
    }
}

/// What is known of an appliance, and what keeps its engine from being asked.
async fn report(
    appliance: &Appliance,
    engine: &Engine,
) -> Result<(Report, Option<Failure>), Failure> {
    let state = appliance.state()?;
    let name = appliance.name();
    let mut elsewhere = None;
    let mut containers = Vec::new();
    let problem = match engine {
        Ok(engine) => {
            if let Some(state) = &state {
                elsewhere = appliance_engine::check(name, state, engine).await.err();
            }
            if elsewhere.is_none() {
                containers = engine.containers(name).await?;
            }
            elsewhere.as_ref().map(describe)
        }
        Err(failure) => Some(describe(failure)),
    };
    let report = Report {
        engine_problem: problem,
        ..on_disk(appliance, state.as_ref(), containers)?
    };
    Ok((report, elsewhere))
}

fn describe(failure: &Failure) -> String {
    let report = failure.report();
    let mut text = report.message.clone();
    for cause in &report.causes {
        let _ = write!(text, ": {cause}");
    }
    text
}

fn on_disk(
    appliance: &Appliance,
    state: Option<&State>,
    containers: Vec<Container>,
) -> Result<Report, Failure> {
    let changing = appliance.is_locked()?;
    let unfinished = appliance.journal().unfinished()?;
    let url = match appliance.site() {
        Ok(site) => site.map(|site| site.url.to_string()),
        Err(error) => Some(format!("unknown: {}", chain(&error))),
    };
    let running: Vec<_> = containers
        .iter()
        .filter(|one| one.state == ContainerState::Running)
        .filter_map(|one| one.labels.get(LABEL_PART).cloned())
        .collect();
    let stopped = state.into_iter().flat_map(|state| &state.stopped);
    let mut rows: Vec<_> = containers.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.service.cmp(&b.service));
    Ok(Report {
        name: appliance.name().to_owned(),
        status: state.map(|state| state.status),
        release: state.map(|state| state.current.release.to_string()),
        sdk: state.and_then(|state| state.current.release.sdks()),
        bundle: state.map(|state| state.current.bundle.to_string()),
        url,
        listen: state.map(|state| state.current.listen.to_string()),
        stopped: stopped
            .filter(|service| !running.contains(service))
            .cloned()
            .collect(),
        unfinished: unfinished.map(|run| broken_off(run, changing)),
        changing,
        engine_problem: None,
        containers: rows,
    })
}

fn broken_off(run: Unfinished, changing: bool) -> String {
    let how = if changing { "is running" } else { "broke off" };
    match run.step {
        Some(step) => format!("{} {how} at `{step}`", run.command),
        None => format!("{} {how}", run.command),
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
        // What the last check of a container that has ended saw says nothing.
        health: (container.state == ContainerState::Running)
            .then(|| container.health.as_ref().map(word))
            .flatten(),
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
    let texts: Vec<_> = reports.iter().map(one).collect();
    texts.join("\n")
}

fn one(report: &Report) -> String {
    let status = report
        .status
        .as_ref()
        .map_or("not installed".to_owned(), word);
    let release = report.release.as_deref().unwrap_or("no release");
    let name = &report.name;
    let mut text = format!("{name}: {release}, {status}\n");
    if report.status == Some(Status::Uninstalled) {
        let _ = writeln!(
            text,
            "  data kept; remove it with `lfctl uninstall --purge --name {name}`"
        );
    } else {
        if let Some(url) = &report.url {
            let _ = writeln!(text, "  url        {url}");
        }
        if let Some(listen) = &report.listen {
            let _ = writeln!(text, "  listens on {listen}");
        }
        if let Some(sdk) = &report.sdk {
            let _ = writeln!(text, "  SDKs that fit: {sdk}");
        }
    }
    if !report.stopped.is_empty() {
        let stopped = report.stopped.join(", ");
        let _ = writeln!(
            text,
            "  stopped on purpose: {stopped}; to start: `lfctl start --name {name}`"
        );
    }
    if let Some(unfinished) = &report.unfinished {
        let next = if report.changing {
            ""
        } else {
            "; run it again to continue"
        };
        let _ = writeln!(text, "  {unfinished}{next}");
    }
    if let Some(problem) = &report.engine_problem {
        let _ = writeln!(text, "  containers unknown: {problem}");
    }
    if !report.containers.is_empty() {
        for line in table(&report.containers).lines() {
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn table(containers: &[Row]) -> Table {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_header(["service", "state", "health", "restarts", "started"]);
    for row in containers {
        table.add_row([
            row.service.clone(),
            row.state.clone(),
            row.health.clone().unwrap_or_else(|| "-".to_owned()),
            row.restarts.to_string(),
            row.started.as_deref().map_or("-".to_owned(), to_the_minute),
        ]);
    }
    table
}

/// A time without its seconds: five columns fit into 60 so.
fn to_the_minute(time: &str) -> String {
    match (time.get(..16), time.ends_with('Z')) {
        (Some(minute), true) => format!("{minute}Z"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed() -> Report {
        let row = |service: &str, health: &str| Row {
            service: service.to_owned(),
            state: "running".to_owned(),
            health: Some(health.to_owned()),
            restarts: 0,
            started: Some("2026-03-01T22:00:00Z".to_owned()),
        };
        Report {
            name: "langfuse".to_owned(),
            status: Some(Status::Installed),
            release: Some("langfuse 4.16.0".to_owned()),
            sdk: Some("Python 3".to_owned()),
            bundle: Some("sha256:0".to_owned()),
            url: Some("https://langfuse.example.com".to_owned()),
            listen: Some("0.0.0.0:443".to_owned()),
            stopped: Vec::new(),
            unfinished: None,
            changing: false,
            engine_problem: None,
            containers: vec![row("gateway", "healthy"), row("web", "starting")],
        }
    }

    #[test]
    fn every_state_shows_what_is_on_disk() {
        let without_containers = |report: Report| Report {
            containers: Vec::new(),
            ..report
        };
        let down = "no container engine answers".to_owned();
        let states = [
            installed(),
            without_containers(Report {
                engine_problem: Some(down),
                ..installed()
            }),
            without_containers(Report {
                engine_problem: Some("`langfuse` lives in docker, and this is podman".to_owned()),
                ..installed()
            }),
            without_containers(Report {
                status: Some(Status::Uninstalled),
                ..installed()
            }),
            without_containers(Report {
                stopped: vec!["gateway".to_owned(), "web".to_owned()],
                ..installed()
            }),
            without_containers(Report {
                status: Some(Status::Installing),
                unfinished: Some("install broke off at `migrate`".to_owned()),
                ..installed()
            }),
        ];
        insta::assert_snapshot!(text(&states));
    }
}
