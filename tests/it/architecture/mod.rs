//! Holds the source tree to the layers of `src/lib.rs`: reads every path and
//! fails on an arrow against them, on a circle inside a room, and on a file
//! that is too long to be read.

mod circles;
mod hints;
mod source;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

use circles::Tree;
use source::Source;

/// The layers, each with its rooms. A room uses those of the layers below its
/// own, and those behind it in its own layer.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["change", "check"],
    &["transfer", "facts"],
    &["langfuse", "render"],
    &["appliance", "bundle", "repository", "host"],
    &["stack", "engine", "sign", "oci"],
    &["sys"],
];

/// Modules of `report` that anyone may use.
const LEAVES: &[&str] = &["event", "finding", "text"];

fn sources() -> Vec<PathBuf> {
    files_below("src")
}

fn files_below(dir: &str) -> Vec<PathBuf> {
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
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    files
}

/// Every `crate::a::b` in code, as (`a`, `b`).
fn edges(text: &str) -> BTreeSet<(String, String)> {
    let source = Source::with_tests(text);
    let uses = source.uses.iter().map(|one| &one.path);
    uses.chain(&source.paths)
        .filter(|path| path[0] == "crate")
        .map(|path| {
            let word = |at: usize| path.get(at).cloned().unwrap_or_default();
            (word(1), word(2))
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
    if room == "fake" {
        // Only tests build it, and it stands in for any room.
        return Vec::new();
    }
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
    let braces = "use crate::{report::event, change::{self, apply}};";
    assert_eq!(violations("check", braces).len(), 2);
}

#[test]
fn no_room_has_a_circle_inside() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources().into_iter().map(|file| {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        (name.to_owned(), fs::read_to_string(&file).unwrap())
    });
    let tree = Tree::new(files);
    let mut wrong = Vec::new();
    for room in LAYERS.concat().into_iter().chain(["report"]) {
        wrong.extend(tree.circles(room));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
                !text.contains(word)
                    || name.contains(home)
                    || name.contains("src/fake/")
                    // Tries to leave each container, on purpose.
                    || name.ends_with("facts/airgap/probe.rs")
                    || name.ends_with("canned.rs"),
                "{name} mentions {word}, which belongs to {home}"
            );
        }
    }
}

#[test]
fn files_stay_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in files_below("src").into_iter().chain(files_below("tests")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        let name = file.strip_prefix(root).unwrap().to_str().unwrap();
        if lines > 400 {
            wrong.push(format!("{name} has {lines} lines: split it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
