//! Hints: what to type next, with the flags of this call.
//!
//! A hint is a sentence with commands in backticks. A caller names
//! the command alone; here it gets the flags without which it would be about
//! another appliance, another directory or another engine.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::report::finding::Remedy;

/// Flags of this call that the next command needs as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flags {
    name: Option<String>,
    root: Option<String>,
    engine: Option<String>,
}

/// The flags of this call, and the commands that take them.
pub(super) struct Hints {
    pub(super) flags: Flags,
    pub(super) parser: fn() -> Command,
}

impl Hints {
    /// The text with the flags in its commands.
    pub(super) fn add_to(&self, text: &str) -> String {
        self.flags.add_to(text, &(self.parser)())
    }

    /// The remedies with the flags in their commands and in those that their
    /// text names.
    pub(super) fn add_to_remedies<'a>(&self, remedies: impl Iterator<Item = &'a mut Remedy>) {
        let parser = (self.parser)();
        for remedy in remedies {
            remedy.text = self.flags.add_to(&remedy.text, &parser);
            if let Some(command) = &mut remedy.command
                && command.starts_with("lfctl ")
            {
                *command = self.flags.add_to_command(command, &parser);
            }
        }
    }
}

impl Flags {
    /// Those that were typed.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let mut levels = vec![matches];
        while let Some((_, below)) = levels.last().and_then(|matches| matches.subcommand()) {
            levels.push(below);
        }
        let typed = |id: &str| levels.iter().rev().find_map(|matches| typed(matches, id));
        Self {
            name: typed("name"),
            root: typed("root"),
            engine: typed("engine"),
        }
    }

    /// The hint with these flags in its commands.
    fn add_to(&self, hint: &str, parser: &Command) -> String {
        let parts = hint.split('`').enumerate().map(|(at, part)| {
            let is_command = at % 2 == 1 && part.starts_with("lfctl ");
            if is_command {
                self.add_to_command(part, parser)
            } else {
                part.to_owned()
            }
        });
        parts.collect::<Vec<_>>().join("`")
    }

    fn add_to_command(&self, text: &str, parser: &Command) -> String {
        let mut words = text.split(' ').skip(1).peekable();
        let mut command = parser;
        let mut path = vec!["lfctl"];
        while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word)) {
            command = next;
            path.extend(words.next());
        }
        let rest: Vec<_> = words.collect();
        let takes_name = command
            .get_arguments()
            .any(|argument| argument.get_long() == Some("name"));
        // A hint at `status` is there for its list of all.
        let needs_name = takes_name && command.get_name() != "status";
        let needs_root = path.len() > 1 && command.get_name() != "help";
        let drives_engine = takes_name || matches!(command.get_name(), "load" | "inventory");
        let mut typed = path.join(" ");
        for (flag, value, is_of_use) in [
            ("--name", &self.name, needs_name),
            ("--root", &self.root, needs_root),
            ("--engine", &self.engine, drives_engine),
        ] {
            if let Some(value) = value
                && is_of_use
                && !rest.contains(&flag)
            {
                typed = format!("{typed} {flag} {}", shell_words::quote(value));
            }
        }
        for word in rest {
            typed = format!("{typed} {word}");
        }
        typed
    }
}

/// The value of an argument, if it stands on the command line.
fn typed(matches: &ArgMatches, id: &str) -> Option<String> {
    if !matches.try_contains_id(id).unwrap_or(false)
        || matches.value_source(id) != Some(ValueSource::CommandLine)
    {
        return None;
    }
    let mut values = matches.get_raw(id)?;
    Some(values.next()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    fn shown(call: &str, hint: &str) -> String {
        let words = shell_words::split(call).unwrap();
        let matches = Cli::command().try_get_matches_from(words).unwrap();
        Flags::of(&matches).add_to(hint, &Cli::command())
    }

    #[test]
    fn commands_get_the_flags_in_force_and_only_those_they_take() {
        let call = "lfctl doctor --name a --root '/tmp/a b' --engine podman";
        for (hint, wanted) in [
            (
                "see `lfctl logs web`, then `docker ps`",
                "see `lfctl logs --name a --root '/tmp/a b' --engine podman web`, then `docker ps`",
            ),
            (
                "`lfctl trust add FILE --holder NAME`",
                "`lfctl trust add --root '/tmp/a b' FILE --holder NAME`",
            ),
            (
                "`lfctl bundle load BUNDLE`",
                "`lfctl bundle load --root '/tmp/a b' --engine podman BUNDLE`",
            ),
            (
                "`lfctl uninstall --name b --purge`",
                "`lfctl uninstall --root '/tmp/a b' --engine podman --name b --purge`",
            ),
            (
                "`lfctl status` lists them; see `lfctl help site`",
                "`lfctl status --root '/tmp/a b' --engine podman` lists them; see `lfctl help site`",
            ),
            ("report `lfctl --version`", "report `lfctl --version`"),
        ] {
            assert_eq!(shown(call, hint), wanted);
        }
    }

    #[test]
    fn what_was_not_typed_is_not_added() {
        let hint = "see `lfctl doctor`";
        assert_eq!(shown("lfctl doctor", hint), hint);
        assert_eq!(
            shown("lfctl --root r status", hint),
            "see `lfctl doctor --root r`"
        );
    }
}
