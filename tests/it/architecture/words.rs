//! Phrases that nothing a person reads uses, since a reader at 3 a.m. who is
//! not a native speaker stumbles over them.

use std::path::Path;

use clap::CommandFactory;
use fs_err as fs;

use super::source::Source;
use super::sources;

const PHRASES: &[&str] = &[
    "whoever",
    "nobody takes",
    "nobody vouches",
    "what is there of",
    "for ever ",
    "to be had",
    "is not found out",
    "has to know who",
    "but nobody saw",
    "things are wrong with",
    "mend",
    "is said",
    "are said",
    "is no ",
    "are no ",
    "anew",
    "lie here",
    "lies here",
    "says nothing",
    "by another way than",
    "who runs the",
    "is not well",
    "puts langfuse",
];

/// What is good English although a phrase is in it.
const FINE: &[&str] = &[
    "there is no ",
    "there are no ",
    "is no longer ",
    "are no longer ",
];

/// A phrase that a text uses.
fn phrase(text: &str) -> Option<&'static str> {
    // So that the first word has a blank before it too, and the last behind.
    let mut padded = format!(" {} ", text.to_lowercase());
    for fine in FINE {
        padded = padded.replace(fine, "");
    }
    let mut phrases = PHRASES.iter().copied();
    phrases.find(|phrase| padded.contains(&format!(" {phrase}")))
}

/// The phrases that the messages of one file use.
fn phrases(text: &str) -> Vec<String> {
    let messages = Source::without_tests(text).strings;
    let of = |message: &String| Some(format!("`{}` in: {message}", phrase(message)?));
    messages.iter().filter_map(of).collect()
}

#[test]
fn messages_use_plain_words() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in sources() {
        let is_test = file.file_stem().is_some_and(|name| name == "tests");
        if !is_test {
            let name = file.strip_prefix(&src).unwrap().display().to_string();
            let of_file = phrases(&fs::read_to_string(&file).unwrap());
            found.extend(of_file.into_iter().map(|one| format!("{name}: {one}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn help_uses_plain_words() {
    fn walk(command: &mut clap::Command, found: &mut Vec<String>) {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        let words: Vec<_> = help.split_whitespace().collect();
        found.extend(phrase(&words.join(" ")).map(|phrase| format!("{name}: {phrase}")));
        for below in command.get_subcommands_mut() {
            walk(below, found);
        }
    }
    let mut found = Vec::new();
    walk(&mut lfctl::cli::Cli::command(), &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn documents_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    files.extend(docs.filter(|path| path.extension().is_some_and(|end| end == "md")));
    assert!(files.len() > 10, "{files:?}");
    let mut found = Vec::new();
    for file in files {
        for paragraph in fs::read_to_string(&file).unwrap().split("\n\n") {
            let words: Vec<_> = paragraph.split_whitespace().collect();
            let text = words.join(" ");
            let name = file.file_name().unwrap().display();
            let begin: String = text.chars().take(60).collect();
            found.extend(phrase(&text).map(|phrase| format!("{name}: `{phrase}` in: {begin}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_phrase_is_seen_in_a_message_and_nowhere_else() {
    let text = "// whoever\nfn f() { g(\"3 things are wrong with the parts\") }";
    assert_eq!(phrases(text).len(), 1);
    assert_eq!(phrase("`a` is no name"), Some("is no "));
    assert_eq!(phrase("there is no `a`"), None);
}
