//! Holds the source tree to the layers of `src/lib.rs`: reads every
//! `crate::` path and fails on an arrow against them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The layers, each with its rooms. A room uses those of the layers below its
/// own, and those behind it in its own layer.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["change", "check"],
    &["transfer", "facts"],
    &["langfuse", "render"],
    &["appliance", "bundle", "host"],
    &["stack", "engine", "sign", "oci"],
    &["sys"],
];

/// Modules of `report` that anyone may use.
const LEAVES: &[&str] = &["event", "finding"];

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    files
}

/// Every `crate::a::b` in code, as (`a`, `b`).
fn edges(text: &str) -> BTreeSet<(String, String)> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            let word = |text: &str| -> String {
                text.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect()
            };
            let first = word(rest);
            let second = rest[first.len()..]
                .strip_prefix("::")
                .map(word)
                .unwrap_or_default();
            (first, second)
        })
        .collect()
}

fn layer(file: &Path) -> String {
    let relative = file
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = relative.components().next().unwrap().as_os_str();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// The arrows of one file that the layers do not allow.
fn violations(room: &str, text: &str) -> Vec<String> {
    let order: Vec<&str> = LAYERS.concat();
    let place = |name: &str| order.iter().position(|room| *room == name);
    let own = place(room);
    assert!(
        own.is_some() || room == "report",
        "`{room}` is in no layer: add it to src/lib.rs and here"
    );
    edges(text)
        .into_iter()
        .filter(|(to, part)| {
            let is_leaf = to == "report" && LEAVES.contains(&part.as_str());
            let is_rendering = to == "report" && room == "cli";
            let is_below = place(to).is_some_and(|to| own.is_some_and(|own| own < to));
            let is_room = place(to).is_some() || to == "report";
            is_room && to != room && !is_leaf && !is_rendering && !is_below
        })
        .map(|(to, part)| format!("{room} uses {to}::{part}"))
        .collect()
}

#[test]
fn arrows_follow_the_layers() {
    let mut found = Vec::new();
    for file in sources() {
        let layer = layer(&file);
        if layer == "lib" || layer == "main" {
            continue;
        }
        for violation in violations(&layer, &fs::read_to_string(&file).unwrap()) {
            found.push(format!("{}: {violation}", file.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_arrow_against_the_layers_is_seen() {
    assert_eq!(
        violations("sys", "use crate::engine::docker::Docker;").len(),
        1
    );
    assert_eq!(violations("check", "crate::change::apply()").len(), 1);
    assert_eq!(
        violations("engine", "use crate::report::human::Human;").len(),
        1
    );
    assert!(violations("engine", "use crate::report::event::Event;").is_empty());
    assert!(violations("check", "// see crate::change::apply").is_empty());
}

#[test]
fn only_the_registry_reaches_out() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.to_string_lossy();
        for (word, home) in [
            ("reqwest", "src/oci/registry"),
            ("TcpStream", "src/langfuse/http"),
        ] {
            assert!(
                !text.contains(word) || name.contains(home) || name.ends_with("canned.rs"),
                "{name} mentions {word}, which belongs to {home}"
            );
        }
    }
}

#[test]
fn files_stay_readable() {
    for file in sources() {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 470, "{} has {lines} lines", file.display());
    }
}
