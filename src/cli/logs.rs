//! `lfctl logs`: what services wrote, in the order of time, with secrets taken
//! out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use clap_complete::ArgValueCandidates;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::{Context, appliance_engine, candidates};
use crate::appliance::Appliance;
use crate::engine::docker::Docker;
use crate::engine::{Containers, ExecAndLogs, LABEL_PART};
use crate::report::text::visible;
use crate::stack::secret::Redactor;

/// Lines of each service that are shown unless more are asked for.
const LINES: usize = 200;
/// Lines of each service when a time is given instead.
const LINES_SINCE: usize = 100_000;
/// Time between two looks at the logs that are followed.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `lfctl logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Services, such as `web`; without one, all of them
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(candidates::services))]
    services: Vec<String>,
    #[command(flatten)]
    name: NameArg,
    /// Keep showing what is written, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Show what was written since then: a duration such as `10m` or `2h`, or a time such as
    /// `2026-03-01T22:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Show when each line was written
    #[arg(long, short)]
    timestamps: bool,
    /// Show the last LINES of each service [default: 200, or all with --since]
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<usize>,
}

/// Reads a moment: how long ago, or when.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong =
        || "write a duration such as `10m` or `2h`, or a time such as `2026-03-01T22:00:00Z`";
    let ago: SignedDuration = text.parse().map_err(|_| wrong())?;
    let at = Timestamp::now().checked_sub(ago.abs());
    at.map_err(|_| wrong().to_owned())
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Line {
    /// When it was written.
    at: Timestamp,
    /// The service that wrote it.
    service: String,
    /// What it wrote, without secrets.
    text: String,
}

impl Args {
    /// Whether `--json` means a line for each line of the logs.
    pub(super) fn is_following(&self) -> bool {
        self.follow
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let engine = Docker::connect(&context.engine).await?;
        if let Some(state) = appliance.state()? {
            appliance_engine::check(appliance.name(), &state, &engine).await?;
        }
        let redactor = redactor(&appliance)?;
        let mut reading = Reading {
            engine: &engine,
            containers: self.containers(&engine, &appliance).await?,
            redactor,
            last: BTreeMap::new(),
        };
        let tail = match (self.tail, self.since) {
            (Some(lines), _) => lines,
            (None, Some(_)) => LINES_SINCE,
            (None, None) => LINES,
        };
        let lines = reading.read(tail, self.since).await?;
        if !self.follow {
            return context.print(&lines, &self.text(&reading, &lines));
        }
        let mut lines = lines;
        loop {
            if !self.show(context, &reading, &lines)? {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
            // A change replaces containers; those of today are followed.
            reading.containers = self.containers(&engine, &appliance).await?;
            lines = reading.read(LINES_SINCE, self.since).await?;
        }
    }

    /// Names of the containers by service.
    async fn containers(
        &self,
        engine: &Docker,
        appliance: &Appliance,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let all = engine.containers(appliance.name()).await?;
        let all: BTreeMap<_, _> = all
            .into_iter()
            .filter_map(|one| Some((one.labels.get(LABEL_PART)?.clone(), one.name)))
            .collect();
        let name = appliance.name();
        if all.is_empty() {
            let failure = format!("the engine holds no container of appliance `{name}`");
            return Err(Failure::new(Kind::Failed, failure)
                .hint("`lfctl status` lists the appliances of this host"));
        }
        if let Some(service) = self.services.iter().find(|one| !all.contains_key(*one)) {
            let failure = format!("appliance `{name}` has no service `{service}`");
            let known: Vec<_> = all.keys().map(String::as_str).collect();
            return Err(Failure::new(Kind::Failed, failure)
                .hint(format!("its services are {}", known.join(", "))));
        }
        let mut wanted = all;
        wanted.retain(|name, _| self.services.is_empty() || self.services.contains(name));
        Ok(wanted)
    }

    fn text(&self, reading: &Reading<'_>, lines: &[Line]) -> String {
        let several = reading.containers.len() > 1;
        let width = reading
            .containers
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(0);
        let of = |line: &Line| {
            let mut text = String::new();
            if self.timestamps {
                text = format!("{:.3} ", line.at);
            }
            if several {
                let _ = write!(text, "{:width$} | ", line.service);
            }
            text + &line.text
        };
        lines.iter().map(of).collect::<Vec<_>>().join("\n")
    }

    /// Shows lines as they come; `false` once nobody reads them.
    fn show(
        &self,
        context: &Context,
        reading: &Reading<'_>,
        lines: &[Line],
    ) -> Result<bool, Failure> {
        let text = if context.json {
            let lines: Result<Vec<_>, _> = lines.iter().map(serde_json::to_string).collect();
            lines.map_err(std::io::Error::from)?.join("\n")
        } else {
            self.text(reading, lines)
        };
        let mut stdout = std::io::stdout().lock();
        let written = if text.is_empty() {
            stdout.flush()
        } else {
            writeln!(stdout, "{text}")
        };
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }
}

/// Before anything is read: without the secrets they could not be taken out.
pub(super) fn redactor(appliance: &Appliance) -> Result<Redactor, Failure> {
    let secrets = appliance.secrets()?.ok_or_else(|| {
        Failure::new(
            Kind::Failed,
            format!(
                "the secrets of `{}` are missing, so they could not be kept out of its logs",
                appliance.name()
            ),
        )
        .hint(format!(
            "put {} back from your backup; the engine's own `logs` command shows everything",
            appliance.secrets_path().display()
        ))
    })?;
    Ok(match appliance.site()? {
        Some(site) => site.redactor(&secrets),
        None => secrets.redactor(),
    })
}

/// The logs of some services, as far as they were read.
struct Reading<'a> {
    engine: &'a Docker,
    containers: BTreeMap<String, String>,
    redactor: Redactor,
    /// The time of the last line, by service.
    last: BTreeMap<String, Timestamp>,
}

impl Reading<'_> {
    /// What was written since the last call, in the order of time.
    async fn read(&mut self, tail: usize, since: Option<Timestamp>) -> Result<Vec<Line>, Failure> {
        let mut lines = Vec::new();
        for (service, container) in &self.containers {
            let last = self.last.get(service).copied();
            let from = last.or(since);
            let seconds = from.map(Timestamp::as_second);
            let text = self.engine.timed_logs(container, tail, seconds).await?;
            let text = self.redactor.redact(&text);
            let read = timed(&text, service).into_iter();
            // The engine knows whole seconds only.
            lines.extend(read.filter(|line| {
                last.is_none_or(|last| line.at > last) && since.is_none_or(|since| line.at >= since)
            }));
        }
        for line in &lines {
            let last = self.last.entry(line.service.clone()).or_insert(line.at);
            *last = line.at.max(*last);
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

/// Lines with a time in front. A line without one belongs to the line before.
fn timed(text: &str, service: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (at, text) = match (first.parse(), lines.last()) {
            (Ok(at), _) => (at, rest),
            (Err(_), Some(before)) => (before.at, line),
            (Err(_), None) => (Timestamp::UNIX_EPOCH, line),
        };
        lines.push(Line {
            at,
            service: service.to_owned(),
            text: visible(text).into_owned(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_how_long_ago() {
        let at = since("2026-03-01T22:00:00Z").unwrap();
        assert_eq!(at.to_string(), "2026-03-01T22:00:00Z");
        let at = since("2h").unwrap();
        let ago = Timestamp::now().duration_since(at);
        assert_eq!(ago.as_hours(), 2);
        for wrong in ["", "yesterday", "10", "22:00"] {
            let error = since(wrong).unwrap_err();
            assert!(error.contains("`10m`"), "{wrong}: {error}");
        }
    }

    #[test]
    fn lines_are_split_from_their_times() {
        let text = "2026-03-01T22:00:01.5Z \u{1b}[31mfirst\u{1b}[0m line\n2026-03-01T23:00:02.25+01:00 second\nno time\n";
        let lines = timed(text, "web");
        assert_eq!(lines[0].text, "first line");
        assert_eq!(lines[1].at.to_string(), "2026-03-01T22:00:02.25Z");
        assert_eq!((lines[2].at, &*lines[2].text), (lines[1].at, "no time"));
    }
}
