//! `lfctl help` and `lfctl man`, and what every `--help` ends with.
//!
//! The documentation that messages refer to is in the binary: an air-gapped
//! host has no other place to look it up.

mod examples;

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Command;
use clap::builder::StyledStr;
use clap_complete::{ArgValueCandidates, CompletionCandidate};

use super::Context;
use super::failure::{Failure, Kind};
use examples::EXAMPLES;

const README: &str = include_str!("../../../README.md");

/// What can be read with `lfctl help TOPIC`.
const TOPICS: &[(&str, &str, &str)] = &[
    (
        "bundle",
        "the format of a bundle, parts and deltas",
        include_str!("../../../docs/bundle.md"),
    ),
    (
        "doctor",
        "every check, what it means and what to do",
        include_str!("../../../docs/doctor.md"),
    ),
    ("exit-codes", "what each exit code means", README),
    ("files", "the files that lfctl keeps", README),
    (
        "json",
        "what --json prints",
        include_str!("../../../docs/json.md"),
    ),
    (
        "operator",
        "reboot, certificate, ports, size, logs, disk, problems",
        include_str!("../../../docs/operator.md"),
    ),
    (
        "runbook",
        "what to type, from the first install to a full disk",
        include_str!("../../../docs/runbook.md"),
    ),
    (
        "security",
        "attacks and defences",
        include_str!("../../../docs/security.md"),
    ),
    (
        "site",
        "every key of site.toml",
        include_str!("../../../docs/site.md"),
    ),
    (
        "trust",
        "keys, signatures and who may sign",
        include_str!("../../../docs/trust.md"),
    ),
    (
        "upgrade",
        "upgrades and the way back",
        include_str!("../../../docs/upgrade.md"),
    ),
];

/// Commands that are to come. Remove a command here once it is built.
const PLANNED: &[&str] = &["admin", "secrets"];

/// Adds examples, and the places to look further, to the end of every
/// `--help`.
pub(super) fn explain(command: Command) -> Command {
    with_topics(explained(command, ""))
}

fn explained(command: Command, path: &str) -> Command {
    let names: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let ending = ending(path);
    let mut command = command.disable_help_subcommand(true).after_help(ending);
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |sub| explained(sub, path.trim_start()));
    }
    command
}

/// Lets shells offer the topics and commands that help can be asked for.
fn with_topics(command: Command) -> Command {
    let mut offered: BTreeMap<String, Option<StyledStr>> = command
        .get_subcommands()
        .map(|command| (command.get_name().to_owned(), command.get_about().cloned()))
        .collect();
    let topics = TOPICS.iter();
    offered.extend(topics.map(|(name, title, _)| ((*name).to_owned(), Some((*title).into()))));
    let candidates = ArgValueCandidates::new(move || {
        let candidate = |(name, about): (&String, &Option<StyledStr>)| {
            CompletionCandidate::new(name).help(about.clone())
        };
        offered.iter().map(candidate).collect()
    });
    command.mut_subcommand("help", |help| {
        help.mut_arg("topic", |topic| topic.add(candidates))
    })
}

fn ending(path: &str) -> StyledStr {
    let mut text = String::new();
    let examples = EXAMPLES.iter().find(|(name, _)| *name == path);
    for (index, line) in examples.iter().flat_map(|(_, lines)| *lines).enumerate() {
        if index == 0 {
            text.push_str("Examples:\n");
        }
        let _ = writeln!(text, "  {line}");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str("Exit codes: `lfctl help exit-codes`. Topics: ");
    let topics: Vec<_> = TOPICS.iter().map(|(name, ..)| *name).collect();
    let _ = write!(text, "`lfctl help {}`.", topics.join("|"));
    text.into()
}

/// Message for a command that is planned; `None` for any other.
pub(super) fn planned(error: &clap::Error) -> Option<Failure> {
    use clap::error::{ContextKind, ContextValue};
    let ContextValue::String(name) = error.get(ContextKind::InvalidSubcommand)? else {
        return None;
    };
    let planned = PLANNED.contains(&name.as_str());
    let message = format!(
        "`lfctl {name}` is planned; not in {}",
        env!("CARGO_PKG_VERSION")
    );
    planned.then(|| Failure::new(Kind::Usage, message).hint("`lfctl help` lists what there is"))
}

/// Arguments of `lfctl help`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A topic, or a command such as `bundle create`; without one, the overview
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

impl Args {
    pub(super) fn run(self, command: Command, context: &Context) -> Result<(), Failure> {
        let name = self.topic.join(" ");
        if let Some((topic, _, text)) = TOPICS.iter().find(|(topic, ..)| *topic == name) {
            let text = match *topic {
                "exit-codes" => section("## Exit codes"),
                "files" => section("## Files"),
                _ => text,
            };
            return context.print(&text, text);
        }
        let mut text = named(command, &self.topic)?.render_help().to_string();
        if self.topic.is_empty() {
            text.push_str("\n\nTopics of `lfctl help`:\n");
            for (topic, title, _) in TOPICS {
                let _ = writeln!(text, "  {topic:12} {title}");
            }
        }
        context.print(&text, &text)
    }
}

/// A section of the README, with its heading.
fn section(heading: &str) -> &'static str {
    let start = README.find(heading).unwrap_or_default();
    let text = &README[start..];
    let end = text[2..].find("\n## ").map_or(text.len(), |end| end + 2);
    text[..end].trim_end()
}

/// The command behind a path of names.
fn named(mut command: Command, path: &[String]) -> Result<Command, Failure> {
    command.build();
    for name in path {
        let sub = command.find_subcommand(name).cloned();
        command = sub.ok_or_else(|| {
            let message = format!("there is no command or topic `{}`", path.join(" "));
            Failure::new(Kind::Usage, message).hint("`lfctl help` lists them")
        })?;
    }
    Ok(command)
}

/// Arguments of `lfctl man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The command, such as `install` or `bundle create`; without it, the overview
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

impl ManArgs {
    pub(super) fn run(self, command: Command, context: &Context) -> Result<(), Failure> {
        let page = named(command, &self.command)?;
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        context.print(&text, &text)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn command() -> Command {
        explain(Cli::command())
    }

    fn every(command: &Command, path: &str, into: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            every(sub, &path, into);
            into.push((path.trim_start().to_owned(), sub.clone()));
        }
    }

    fn commands() -> Vec<(String, Command)> {
        let mut root = command().term_width(100);
        root.build();
        let mut all = Vec::new();
        every(&root, "", &mut all);
        all.push(("lfctl".to_owned(), root));
        all
    }

    #[test]
    #[cfg(feature = "pull")]
    fn every_help_is_as_it_was_reviewed() {
        for (path, command) in commands() {
            let name = format!("help {path}").replace(' ', "-");
            let text = command.term_width(100).render_help().to_string();
            insta::assert_snapshot!(name, text);
        }
    }

    #[test]
    fn a_command_that_is_there_is_not_called_planned() {
        let there = commands();
        for planned in PLANNED {
            let is_there = there.iter().any(|(path, _)| path == planned);
            assert!(!is_there, "remove `{planned}` from PLANNED");
        }
        let error = command()
            .try_get_matches_from(["lfctl", PLANNED[0]])
            .unwrap_err();
        assert!(planned(&error).is_some());
        let error = command()
            .try_get_matches_from(["lfctl", "nothing"])
            .unwrap_err();
        assert!(planned(&error).is_none());
    }

    #[test]
    fn every_example_is_a_command_line_that_lfctl_takes() {
        for (path, lines) in EXAMPLES {
            assert!(!lines.is_empty());
            // Without the registry client there is no `bundle create`.
            if named(
                command(),
                &path.split(' ').map(str::to_owned).collect::<Vec<_>>(),
            )
            .is_err()
            {
                assert_eq!(*path, "bundle create");
                continue;
            }
            for line in *lines {
                let command = command();
                let words = line.split_whitespace().map(|word| word.trim_matches('"'));
                // Words in quotes are one argument.
                let words: Vec<_> = match line.split_once('"') {
                    Some((before, quoted)) => {
                        let quoted = quoted.trim_end_matches('"');
                        before.split_whitespace().chain([quoted]).collect()
                    }
                    None => words.collect(),
                };
                assert!(line.starts_with(&format!("lfctl {path}")), "{line}");
                if let Err(error) = command.try_get_matches_from(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_command_of_many_options_has_examples() {
        for (path, command) in commands() {
            let own = command
                .get_arguments()
                .filter(|argument| !argument.is_global_set() && !argument.is_positional())
                .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()));
            let has_examples = EXAMPLES.iter().any(|(name, _)| *name == path);
            assert!(own.count() <= 3 || has_examples, "`{path}` has no examples");
        }
    }

    #[test]
    fn topics_of_the_readme_end_where_the_next_begins() {
        let codes = section("## Exit codes");
        assert!(codes.contains("| 74 |") && !codes.contains("## Licence"));
        assert!(section("## Files").contains("state.json"));
    }
}
