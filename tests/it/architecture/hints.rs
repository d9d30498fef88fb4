//! Commands that messages name: each is one that lfctl takes.

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use fs_err as fs;
use lfctl::cli::Cli;

use super::source::Source;
use super::sources;

/// What stands for a value that is known only when the message is made.
const VALUES: &[(&str, &str)] = &[
    ("{name}", "lf"),
    ("{command}", "install"),
    ("{service}", "web"),
    ("{id}", "0123456789ABCDEF"),
];

/// Commands that are spoken of, for nobody to type.
const MENTIONS: &[(&str, &str)] = &[
    ("bundle/lock.rs", "lfctl bundle create"),
    ("cli/help/mod.rs", "lfctl {name}"),
];

/// The commands of lfctl that the messages of a file name.
fn commands(text: &str) -> Vec<String> {
    let messages = Source::without_tests(text).strings;
    let quoted = messages
        .iter()
        .flat_map(|message| message.split('`').skip(1).step_by(2));
    let of_lfctl = quoted.filter(|quoted| quoted.starts_with("lfctl "));
    of_lfctl.map(str::to_owned).collect()
}

/// Why lfctl does not take a command, with its placeholders as values.
fn refusal(command: &str) -> Option<String> {
    let mut filled = command.to_owned();
    for (placeholder, value) in VALUES {
        filled = filled.replace(placeholder, value);
    }
    let words = match shell_words::split(&filled) {
        Ok(words) => words,
        Err(error) => return Some(format!("`{command}`: {error}")),
    };
    match Cli::command().try_get_matches_from(words) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => None,
        Err(error) => Some(format!("`{command}`: {error}")),
    }
}

#[test]
fn every_command_that_a_message_names_is_one_that_lfctl_takes() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut refused, mut seen) = (Vec::new(), 0);
    for file in sources() {
        if file.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        for command in commands(&fs::read_to_string(&file).unwrap()) {
            if MENTIONS.contains(&(name.as_str(), command.as_str())) {
                continue;
            }
            seen += 1;
            refused.extend(refusal(&command).map(|why| format!("{name}: {why}")));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(seen > 50, "only {seen} commands");
}

#[test]
fn a_command_that_lfctl_does_not_take_is_seen() {
    assert_eq!(
        commands("fn f() { g(\"see `lfctl status`\") }"),
        ["lfctl status"]
    );
    assert!(refusal("lfctl bundle create").is_some());
    assert!(refusal("lfctl doctor --everything").is_some());
    assert_eq!(refusal("lfctl logs {service}"), None);
}
