//! Phrases that messages of the program do not use, since a reader at 3 a.m.
//! who is not a native speaker stumbles over them.

use std::path::Path;

use fs_err as fs;

use super::source::Source;
use super::sources;

const PHRASES: &[&str] = &[
    "whoever",
    "nobody takes",
    "what is there of",
    "for ever",
    "to be had",
    "is not found out",
    "has to know who",
    "but nobody saw",
    "things are wrong with",
    "mend",
];

/// The phrases that the messages of one file use.
fn phrases(text: &str) -> Vec<String> {
    let messages = Source::without_tests(text).strings;
    let of = |message: &String| {
        // So that the first word has a blank before it too.
        let padded = format!(" {}", message.to_lowercase());
        let found = PHRASES
            .iter()
            .find(|phrase| padded.contains(&format!(" {phrase}")))?;
        Some(format!("`{found}` in: {message}"))
    };
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
fn a_phrase_is_seen_in_a_message_and_nowhere_else() {
    let text = "// whoever\nfn f() { g(\"3 things are wrong with the parts\") }";
    assert_eq!(phrases(text).len(), 1);
}
