//! Circles between the files of a room.
//!
//! A file uses another one where a path leads to an item of it. A name that
//! comes through `pub use` counts for the file that defines it, and the
//! `pub use` itself counts for nobody. Test modules are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// The files of a crate by the path of their modules, without `crate`.
pub(super) struct Tree(BTreeMap<Vec<String>, Source>);

/// Why one file uses another one.
type Reasons = BTreeMap<(Vec<String>, Vec<String>), BTreeSet<String>>;

/// Deeper than any chain of re-exports.
const DEPTH: usize = 16;

impl Tree {
    /// Of files by their path below `src`.
    pub(super) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut sources = BTreeMap::new();
        for (file, text) in files {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let module: Vec<_> = path.split('/').map(str::to_owned).collect();
            sources.insert(module, Source::without_tests(&text));
        }
        let of_tests: Vec<_> = sources
            .iter()
            .flat_map(|(module, source)| {
                let child = |name: &String| [&module[..], std::slice::from_ref(name)].concat();
                source.test_modules.iter().map(child)
            })
            .collect();
        sources.retain(|module, _| !of_tests.iter().any(|test| module.starts_with(test)));
        Self(sources)
    }

    /// Files of `room` that use each other in a circle, each circle with the
    /// paths that make it.
    pub(super) fn circles(&self, room: &str) -> Vec<String> {
        let reasons = self.reasons(room);
        let mut circles: BTreeMap<BTreeSet<&Vec<String>>, Vec<String>> = BTreeMap::new();
        for ((from, to), names) in &reasons {
            let (there, back) = (reached(&reasons, from), reached(&reasons, to));
            if !back.contains(from) {
                continue;
            }
            let members = there
                .into_iter()
                .filter(|one| reached(&reasons, one).contains(from))
                .collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let line = format!(
                "  {} uses {}: {}",
                from.join("::"),
                to.join("::"),
                names.join(", ")
            );
            circles.entry(members).or_default().push(line);
        }
        circles
            .into_values()
            .map(|lines| format!("a circle in `{room}`:\n{}", lines.join("\n")))
            .collect()
    }

    fn reasons(&self, room: &str) -> Reasons {
        let mut reasons = Reasons::new();
        let files = self.0.iter().filter(|(module, _)| module[0] == room);
        for (module, source) in files {
            let uses = source
                .uses
                .iter()
                .filter(|one| !one.is_public && one.name != "*");
            for path in uses.map(|one| &one.path).chain(&source.paths) {
                if let Some(absolute) = self.absolute(module, path, DEPTH)
                    && let Some(to) = self.home(&absolute, DEPTH)
                    && to[0] == room
                    && to != *module
                {
                    let names = reasons.entry((module.clone(), to)).or_default();
                    names.insert(path.join("::"));
                }
            }
        }
        reasons
    }

    /// The path from the root of the crate, where it leads into it.
    fn absolute(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let depth = depth.checked_sub(1)?;
        let child = [module, std::slice::from_ref(first)].concat();
        let base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => {
                let mut up = module.to_vec();
                up.pop()?;
                let ups = rest.iter().take_while(|word| *word == "super").count();
                up.truncate(up.len().checked_sub(ups)?);
                return Some([&up[..], &rest[ups..]].concat());
            }
            _ if self.0.contains_key(&child) => child,
            _ => {
                let used = self.0.get(module)?.uses.iter();
                let mut named = used.filter(|one| one.name == *first && one.path[0] != *first);
                self.absolute(module, &named.next()?.path, depth)?
            }
        };
        Some([&base[..], rest].concat())
    }

    /// The file that defines what an absolute path names. None for a module
    /// as a whole: what is used of it has a path of its own.
    fn home(&self, path: &[String], depth: usize) -> Option<Vec<String>> {
        let depth = depth.checked_sub(1)?;
        let len = (1..=path.len())
            .rev()
            .find(|len| self.0.contains_key(&path[..*len]))?;
        let (module, rest) = path.split_at(len);
        match rest.first() {
            Some(item) => Some(self.item(module, item, depth).unwrap_or(module.to_vec())),
            // A function may be called as its module is.
            None => self.item(&module[..len - 1], &module[len - 1], depth),
        }
    }

    /// The file that defines what `module` calls `item`.
    fn item(&self, module: &[String], item: &str, depth: usize) -> Option<Vec<String>> {
        let source = self.0.get(module)?;
        if source.items.contains(item) {
            return Some(module.to_vec());
        }
        for one in source.uses.iter().filter(|one| one.name == item) {
            let path = self.absolute(module, &one.path, depth);
            if let Some(home) = path.and_then(|path| self.home(&path, depth)) {
                return Some(home);
            }
        }
        let mut all = source.uses.iter().filter(|one| one.name == "*");
        all.find_map(|one| {
            let path = self.absolute(module, &one.path, depth)?;
            self.item(&path, item, depth.checked_sub(1)?)
        })
    }
}

/// Everything that is used from `start` on, itself only if there is a way back.
fn reached<'a>(reasons: &'a Reasons, start: &Vec<String>) -> BTreeSet<&'a Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut next = vec![start];
    while let Some(from) = next.pop() {
        for (_, to) in reasons.keys().filter(|(one, _)| one == from) {
            if seen.insert(to) {
                next.push(to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::Tree;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        Tree::new(files).circles("room")
    }

    #[test]
    fn a_circle_is_seen_through_a_re_export() {
        let found = circles(&[
            ("room/mod.rs", "mod a; mod b; pub use b::B;"),
            ("room/a.rs", "use super::B; pub(super) struct A;"),
            ("room/b.rs", "pub struct B(super::a::A);"),
        ]);
        let wanted = "a circle in `room`:\n  room::a uses room::b: super::B\n  room::b uses room::a: super::a::A";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn a_circle_is_seen_between_a_module_and_its_children() {
        let parent = "mod a; pub struct Parent; fn make() { a::make(); }";
        let child = "use super::Parent; pub(super) fn make() {}";
        assert_eq!(
            circles(&[("room/mod.rs", parent), ("room/a.rs", child)]).len(),
            1
        );
        let alone = "mod a; pub use a::make; pub struct Parent;";
        assert_eq!(
            circles(&[("room/mod.rs", alone), ("room/a.rs", child)]).len(),
            0
        );
    }

    #[test]
    fn a_circle_is_seen_through_a_module_that_is_imported_as_a_whole() {
        let found = circles(&[
            ("room/mod.rs", "mod a; mod b;"),
            ("room/a.rs", "use super::b; pub fn a() { b::b() }"),
            ("room/b/mod.rs", "mod c; pub use c::*;"),
            ("room/b/c.rs", "use crate::room::a::a; pub fn b() { a() }"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn tests_and_other_rooms_make_no_circle() {
        let found = circles(&[
            ("room/mod.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("room/a.rs", "use super::b::B; pub struct A;"),
            (
                "room/b.rs",
                "use crate::other::C; #[cfg(test)] mod tests { use super::super::a::A; }",
            ),
            ("room/tests.rs", "use super::a::A; pub fn t() {}"),
            ("other/mod.rs", "use crate::room::a::A; pub struct C;"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
