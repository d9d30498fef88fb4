//! What a source file names: its `use` lines, its paths and its items. No
//! parser of Rust, but enough of one for code that `rustfmt` has seen.

use std::collections::BTreeSet;

/// One `use`, with its braces taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    /// What is named, as it is written: `super`, `self` and `crate` included.
    pub(super) path: Vec<String>,
    /// The name that it has from then on. `*` where all are taken.
    pub(super) name: String,
    pub(super) is_public: bool,
}

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) uses: Vec<Use>,
    /// Paths of at least two words in code.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// Names of the items that are defined here.
    pub(super) items: BTreeSet<String>,
    /// Modules that are there for tests alone.
    pub(super) test_modules: BTreeSet<String>,
    /// String literals, without their escapes undone.
    pub(super) strings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

impl Source {
    /// Reads a file, without what is there for tests alone.
    pub(super) fn without_tests(text: &str) -> Self {
        Self::read(text, false)
    }

    /// Reads a file with its tests.
    pub(super) fn with_tests(text: &str) -> Self {
        Self::read(text, true)
    }

    fn read(text: &str, keeps_tests: bool) -> Self {
        let (tokens, strings) = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
            source: Self {
                strings,
                ..Self::default()
            },
        };
        while reader.at < tokens.len() {
            reader.step(keeps_tests);
        }
        reader.source
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    source: Source,
}

const DEFINING: [&str; 9] = [
    "struct",
    "enum",
    "trait",
    "fn",
    "type",
    "const",
    "static",
    "union",
    "macro_rules",
];

impl Reader<'_> {
    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at) == Some(&Token::Sign(sign))
    }

    /// Reads one item's beginning, one path or one other token.
    fn step(&mut self, keeps_tests: bool) {
        if self.is(self.at, '#') && self.is(self.at + 1, '[') {
            let end = self.matching(self.at + 1);
            let is_test = self.word(self.at + 2) == Some("cfg")
                && (self.at..end).any(|at| self.word(at) == Some("test"))
                && (self.at..end).all(|at| self.word(at) != Some("not"));
            self.at = end + 1;
            if is_test && !keeps_tests {
                self.skip_item();
            }
            return;
        }
        let Some(word) = self.word(self.at) else {
            self.at += 1;
            return;
        };
        if word == "use" {
            let is_public =
                self.at > 0 && (self.word(self.at - 1) == Some("pub") || self.is(self.at - 1, ')'));
            self.at += 1;
            self.use_tree(&[], is_public);
        } else if DEFINING.contains(&word) {
            let name = self.at + 1 + usize::from(self.is(self.at + 1, '!'));
            let name = self.word(name).map(str::to_owned);
            self.source.items.extend(name);
            self.at += 1;
        } else {
            self.path();
        }
    }

    /// Reads a path, if it is one of more than one word.
    fn path(&mut self) {
        let goes_on = self.at > 0 && self.tokens[self.at - 1] == Token::Path;
        let mut path = Vec::new();
        while let Some(word) = self.word(self.at) {
            path.push(word.to_owned());
            self.at += 1;
            if self.tokens.get(self.at) != Some(&Token::Path) {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 && !goes_on {
            self.source.paths.insert(path);
        }
    }

    /// Reads what stands behind `use`, or between its braces.
    fn use_tree(&mut self, before: &[String], is_public: bool) {
        let mut path = before.to_vec();
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Word(word)) if word == "as" => {
                    let name = self.word(self.at + 1).unwrap_or("_").to_owned();
                    self.at += 2;
                    return self.add_use(path, Some(name), is_public);
                }
                Some(Token::Word(word)) => path.push(word.clone()),
                Some(Token::Path) => {}
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    return self.add_use(path, Some("*".to_owned()), is_public);
                }
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !self.is(self.at, '}') && self.at < self.tokens.len() {
                        self.use_tree(&path, is_public);
                        self.at += usize::from(self.is(self.at, ','));
                    }
                    self.at += 1;
                    return;
                }
                _ => {
                    if path.len() > before.len() {
                        self.add_use(path, None, is_public);
                    } else {
                        self.at += 1;
                    }
                    return;
                }
            }
            self.at += 1;
        }
    }

    fn add_use(&mut self, mut path: Vec<String>, name: Option<String>, is_public: bool) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(last) = path.last() else { return };
        let name = name.unwrap_or_else(|| last.clone());
        self.source.uses.push(Use {
            path,
            name,
            is_public,
        });
    }

    /// Goes behind the item that begins here, and keeps its name if it is a
    /// module in a file of its own.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            if self.is(self.at, '#') || self.is(self.at, '(') {
                let open = self.at + usize::from(self.is(self.at, '#'));
                self.at = self.matching(open) + 1;
            } else if self.word(self.at) == Some("mod") && self.is(self.at + 2, ';') {
                let name = self.word(self.at + 1).map(str::to_owned);
                self.source.test_modules.extend(name);
                self.at += 3;
                return;
            } else if self.is(self.at, '{') {
                self.at = self.matching(self.at) + 1;
                // `use a::{b};` has its end behind the brace.
                self.at += usize::from(self.is(self.at, ';'));
                return;
            } else if self.is(self.at, ';') || self.is(self.at, ',') {
                self.at += 1;
                return;
            } else {
                self.at += 1;
            }
        }
    }

    /// Where the bracket that opens at `open` is closed.
    fn matching(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.tokens[at] {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }
}

/// Takes a text apart, without comments; its string literals stand aside.
fn tokens(text: &str) -> (Vec<Token>, Vec<String>) {
    let (mut tokens, mut strings) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some((string, after)) = string(rest) {
            strings.push(string.to_owned());
            rest = after;
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            tokens.push(Token::Path);
            rest = after;
        } else if c == '\'' {
            rest = behind_quote(rest);
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    (tokens, strings)
}

/// A string literal at the beginning of `text`, and what stands behind it.
fn string(text: &str) -> Option<(&str, &str)> {
    let raw = ["r", "br"].iter().find_map(|start| {
        let hashes = text.strip_prefix(start)?;
        let content = hashes.trim_start_matches('#');
        let end = format!("\"{}", &hashes[..hashes.len() - content.len()]);
        content.strip_prefix('"')?.split_once(&end)
    });
    if raw.is_some() {
        return raw;
    }
    let content = text.strip_prefix('b').unwrap_or(text).strip_prefix('"')?;
    let mut is_escaped = false;
    let end = content.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    Some((&content[..end], &content[end + 1..]))
}

/// What stands behind a character literal, or behind the quote of a lifetime.
fn behind_quote(text: &str) -> &str {
    let content = &text[1..];
    let mut characters = content.char_indices();
    let (_, first) = characters.next().unwrap_or_default();
    if first == '\\' {
        let end = content[2..].find('\'').map_or(content.len(), |end| end + 3);
        return &content[end..];
    }
    match characters.next() {
        Some((at, '\'')) => &content[at + 1..],
        _ => content,
    }
}

#[test]
fn a_source_is_taken_apart() {
    let source = Source::without_tests(
        r##"
        // use crate::comment;
        pub(crate) use self::a::{B, c::{self, D as E}, f::*};
        use super::G;
        #[cfg(test)]
        mod tests;
        #[cfg(test)]
        mod more { use crate::h::I; }
        #[cfg(not(test))]
        pub(super) fn j<'a>(k: &'a str) -> l::M { n::o::P::<Q>::new("crate::r", '\'', '"', r#"s::t"#) }
        "##,
    );
    let uses: Vec<_> = source
        .uses
        .iter()
        .map(|one| (one.path.join("::"), one.name.as_str(), one.is_public))
        .collect();
    let wanted = [
        ("self::a::B", "B", true),
        ("self::a::c", "c", true),
        ("self::a::c::D", "E", true),
        ("self::a::f", "*", true),
        ("super::G", "G", false),
    ];
    assert_eq!(
        uses,
        wanted.map(|(path, name, public)| (path.to_owned(), name, public))
    );
    let paths: Vec<_> = source.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["l::M", "n::o::P"]);
    assert_eq!(source.items.iter().collect::<Vec<_>>(), ["j"]);
    assert_eq!(source.test_modules.iter().collect::<Vec<_>>(), ["tests"]);
    assert_eq!(source.strings, ["crate::r", "s::t"]);
    let whole = Source::with_tests("#[cfg(test)]\nmod more { use crate::h::I; }");
    assert_eq!(whole.uses.len(), 1);
}
