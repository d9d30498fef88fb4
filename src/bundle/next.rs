//! A spec of the next release, made out of that of another.

use semver::Version;
use toml::{Table, Value};

use super::spec::{BundleSpec, SpecError};

/// What a spec says of its own version.
const RELEASE: [&str; 2] = ["release", "version"];
/// Where else a spec says its version.
const PLACES: [&[&str]; 3] = [&["images"], &["upgrade"], &["stack", "langfuse"]];

/// A spec for another version, and what became different.
#[derive(Debug)]
pub struct Next {
    pub spec: BundleSpec,
    /// Each difference, such as `images.web: a:1.0.0 -> a:1.1.0`.
    pub edits: Vec<String>,
}

/// Why there is no spec for that version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NextError {
    /// One of the two specs is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The counter does not follow from the version.
    #[error("counter {counter} does not follow from version {version}: {expected} would")]
    Counter {
        /// The spec's counter.
        counter: u64,
        /// The spec's version.
        version: Version,
        /// Its counter by the rule.
        expected: u64,
    },
}

/// Reads `text` as a spec of `version`: of images, of what may be upgraded and
/// of Langfuse it takes every mention of the spec's own version for one of the
/// new version.
pub fn next(text: &str, version: &Version) -> Result<Next, NextError> {
    let old = BundleSpec::parse(text)?.release;
    let expected = counter(&old.version);
    if old.counter / REBUILDS != expected / REBUILDS {
        return Err(NextError::Counter {
            counter: old.counter,
            version: old.version,
            expected,
        });
    }
    let mut table: Table = toml::from_str(text).map_err(SpecError::Toml)?;
    let change = Change {
        old: old.version.to_string(),
        new: version.to_string(),
    };
    let mut edits = Vec::new();
    for place in PLACES {
        if let Some(value) = at(&mut table, place) {
            change.apply(value, &place.join("."), &mut edits);
        }
    }
    if let Some(value) = at(&mut table, &RELEASE) {
        change.apply(value, &RELEASE.join("."), &mut edits);
    }
    let counter = counter(version);
    if let Some(value) = at(&mut table, &["release", "counter"]) {
        edits.push(format!("release.counter: {} -> {counter}", old.counter));
        *value = Value::Integer(i64::try_from(counter).unwrap_or(i64::MAX));
    }
    let spec = BundleSpec::parse(&table.to_string())?;
    Ok(Next { spec, edits })
}

/// Rebuilds of one version.
const REBUILDS: u64 = 100;

/// Major, minor (three digits), patch (three), rebuild (two): a late fix of an
/// old line never counts as newer than the next line.
fn counter(version: &Version) -> u64 {
    let Version {
        major,
        minor,
        patch,
        ..
    } = version;
    ((major * 1000 + minor) * 1000 + patch) * REBUILDS
}

fn at<'a>(table: &'a mut Table, path: &[&str]) -> Option<&'a mut Value> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for parent in parents {
        table = table.get_mut(*parent)?.as_table_mut()?;
    }
    table.get_mut(*last)
}

struct Change {
    old: String,
    new: String,
}

impl Change {
    fn apply(&self, value: &mut Value, path: &str, edits: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                if let Some(changed) = self.of(text) {
                    edits.push(format!("{path}: {text} -> {changed}"));
                    *text = changed;
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.apply(value, path, edits);
                }
            }
            Value::Table(table) => {
                for (key, value) in table.iter_mut() {
                    self.apply(value, &format!("{path}.{key}"), edits);
                }
            }
            _ => {}
        }
    }

    /// The text with each mention of the old version made one of the new, and
    /// without the digest behind it, which is that of the old image.
    fn of(&self, text: &str) -> Option<String> {
        let mut changed = String::new();
        let mut rest = text;
        let mut last = None;
        while let Some(start) = rest.find(&self.old) {
            let (before, behind) = (&rest[..start], &rest[start + self.old.len()..]);
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
            let before_it = before.chars().next_back().or(last);
            let is_whole = !before_it.is_some_and(is_part) && !behind.starts_with(is_part);
            changed.push_str(before);
            changed.push_str(if is_whole { &self.new } else { &self.old });
            last = self.old.chars().next_back();
            rest = if is_whole {
                without_digest(behind)
            } else {
                behind
            };
        }
        changed.push_str(rest);
        (changed != text).then_some(changed)
    }
}

fn without_digest(behind: &str) -> &str {
    match behind.strip_prefix("@sha256:") {
        Some(digest) => digest.trim_start_matches(|c: char| c.is_ascii_hexdigit()),
        None => behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_makes_the_next_release() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/bundles/langfuse-4.toml");
        let text = fs_err::read_to_string(path).unwrap();
        let old = BundleSpec::parse(&text).unwrap();
        let version: Version = "4.17.0".parse().unwrap();
        let Next { spec, edits } = next(&text, &version).unwrap();
        assert_eq!(spec.release.version, version);
        assert_eq!(spec.release.counter, 401_700_000);
        assert_eq!(spec.stack.langfuse.version, "4.17.0");
        assert_eq!(spec.images["web"], "docker.io/langfuse/langfuse:4.17.0");
        assert_eq!(spec.images["redis"], old.images["redis"]);
        // The line before is still left at the same version.
        let from: Vec<_> = spec.upgrade.from.iter().map(ToString::to_string).collect();
        assert_eq!(from, [">=3.225.4, <4.0.0", ">=4.0.0, <4.17.0"]);
        assert_eq!(edits.len(), 6, "{edits:?}");
    }

    #[test]
    fn only_whole_versions_count_and_a_digest_goes_with_its_tag() {
        let change = Change {
            old: "4.1.0".to_owned(),
            new: "4.2.0".to_owned(),
        };
        let digest = "0".repeat(64);
        for (text, changed) in [
            ("a/b:4.1.0", Some("a/b:4.2.0".to_owned())),
            ("a/b:v4.1.0", None),
            ("a/b:14.1.0", None),
            ("a/b:4.1.0.1", None),
            ("a/b:4.1.01", None),
            ("a/b:4.1.0-alpine", Some("a/b:4.2.0-alpine".to_owned())),
            ("<4.1.0 || =4.1.0", Some("<4.2.0 || =4.2.0".to_owned())),
            (
                &format!("a/b:4.1.0@sha256:{digest}"),
                Some("a/b:4.2.0".to_owned()),
            ),
            (&format!("a/b:4.0.0@sha256:{digest}"), None),
        ] {
            assert_eq!(change.of(text), changed, "{text}");
        }
    }

    #[test]
    fn a_counter_of_another_making_is_not_guessed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/bundles/langfuse-4.toml");
        let text = fs_err::read_to_string(path).unwrap();
        let text = text.replace("counter = 4_016_000_00", "counter = 7");
        let error = next(&text, &"4.17.0".parse().unwrap()).unwrap_err();
        assert!(
            matches!(error, NextError::Counter { counter: 7, .. }),
            "{error}"
        );
    }
}
