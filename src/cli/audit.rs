//! `lfctl audit`: who did what, and whether the log is whole.

use std::fmt::Write;

use clap_complete::ArgValueCandidates;
use serde::Serialize;

use super::Context;
use super::candidates::appliances;
use super::failure::{Failure, Kind};
use crate::appliance::Appliance;
use crate::host::HOST;
use crate::host::audit::{AuditEntry, AuditLog, Chain, Problem};
use crate::oci::digest::Digest;

/// Subcommands of `lfctl audit`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Walk the hash chain of each audit log, and report lines that were changed, removed or cut off
    Verify(Which),
    /// Show who did what, when, and how it ended
    Show(Which),
}

/// Which logs.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only the log of this appliance
    #[arg(long, value_name = "NAME", conflicts_with = "host", add = ArgValueCandidates::new(appliances))]
    name: Option<String>,
    /// Only the log of what concerns the whole host: keys, older releases, skipped signatures
    #[arg(long)]
    host: bool,
}

/// One log as it is verified.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Verified {
    /// The appliance, or `_host`.
    log: String,
    file: String,
    lines: usize,
    /// Digest of the last line: keep it elsewhere to compare later.
    head: Option<Digest>,
    /// Lines that were not written to their end, as when the power failed.
    torn: Vec<usize>,
    problem: Option<Problem>,
}

/// One entry as it is shown.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shown {
    /// The appliance, or `_host`.
    log: String,
    #[serde(flatten)]
    entry: AuditEntry,
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Verify(_) => "audit verify",
            Self::Show(_) => "audit show",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Verify(which) => verify(context, which.logs(context)?),
            Self::Show(which) => show(context, which.logs(context)?),
        }
    }
}

impl Which {
    /// The logs that are meant, by name, read.
    fn logs(&self, context: &Context) -> Result<Vec<(String, AuditLog, Chain)>, Failure> {
        let names = match &self.name {
            Some(name) => vec![Appliance::named(&context.paths, name)?.name().to_owned()],
            None if self.host => vec![HOST.to_owned()],
            None => context.paths.audited()?,
        };
        let mut logs = Vec::new();
        for name in names {
            let log = AuditLog::of(&context.paths, &name);
            let chain = log.read()?;
            logs.push((name, log, chain));
        }
        Ok(logs)
    }
}

fn looked_in(context: &Context) -> String {
    context.looked_in(context.paths.audit_logs(), "lfctl audit show")
}

fn verify(context: &Context, logs: Vec<(String, AuditLog, Chain)>) -> Result<(), Failure> {
    let verified: Vec<_> = logs
        .into_iter()
        .map(|(name, log, chain)| Verified {
            log: name,
            file: log.path().display().to_string(),
            lines: chain.lines,
            head: chain.head,
            torn: chain.torn,
            problem: chain.problem,
        })
        .collect();
    let mut text = String::new();
    for one in &verified {
        let verdict = match &one.problem {
            Some(problem) => format!("CHANGED: {problem}"),
            None => "whole".to_owned(),
        };
        let _ = writeln!(text, "{}: {} lines, {verdict}", one.log, one.lines);
        if let Some(head) = &one.head {
            let _ = writeln!(text, "  head {head}");
        }
        for line in &one.torn {
            let _ = writeln!(text, "  line {line} was not written to its end");
        }
    }
    if verified.is_empty() {
        let _ = write!(text, "there is no audit log here; {}", looked_in(context));
    }
    context.print(&verified, &text)?;
    match verified.iter().filter(|one| one.problem.is_some()).count() {
        0 => Ok(()),
        changed => {
            let message = format!("{changed} audit logs were changed");
            Err(Failure::new(Kind::NotTrusted, message).already_shown())
        }
    }
}

fn show(context: &Context, logs: Vec<(String, AuditLog, Chain)>) -> Result<(), Failure> {
    let mut shown: Vec<_> = logs
        .into_iter()
        .flat_map(|(log, _, chain)| {
            let of_log = move |entry| Shown {
                log: log.clone(),
                entry,
            };
            chain.entries.into_iter().map(of_log)
        })
        .collect();
    shown.sort_by_key(|one| one.entry.at);
    let mut text = String::new();
    for Shown { log, entry } in &shown {
        let _ = writeln!(
            text,
            "{:.0}  {log:<12} {:<20} {}  ({})",
            entry.at, entry.command, entry.result, entry.who
        );
    }
    if shown.is_empty() {
        let _ = write!(text, "the audit logs are empty; {}", looked_in(context));
    }
    context.print(&shown, &text)
}
