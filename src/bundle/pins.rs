//! Image versions that are known to be bad or out of support.
//!
//! The table is `bundles/pins.toml`, as it was when this lfctl was built.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::spec::parse_reference;

const TABLE: &str = include_str!("../../bundles/pins.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for people who read the file on its own")]
    schema: u32,
    checked: Date,
    pins: Vec<Pin>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    /// Without the registry, which may be a mirror.
    repository: String,
    from: Option<String>,
    below: Option<String>,
    after: Option<Date>,
    why: String,
    instead: String,
}

impl Pin {
    fn affects(&self, repository: &str, tag: &str, today: Date) -> bool {
        let is_meant =
            repository == self.repository || repository.ends_with(&format!("/{}", self.repository));
        if !is_meant || self.after.is_some_and(|after| today <= after) {
            return false;
        }
        if self.from.is_none() && self.below.is_none() {
            return true;
        }
        let bound = |text: &Option<String>| text.as_deref().map(numbers);
        numbers(tag).is_some_and(|version| {
            bound(&self.from).is_none_or(|from| from.is_some_and(|from| version >= from))
                && bound(&self.below).is_none_or(|below| below.is_some_and(|below| version < below))
        })
    }
}

/// `26.3.17.4` of `v26.3.17.4-alpine`.
fn numbers(tag: &str) -> Option<Vec<u64>> {
    let version = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?;
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// One warning for each image that should not be bundled on `today`.
pub fn warnings(images: &BTreeMap<String, String>, today: Date) -> Vec<String> {
    let Ok(table) = toml::from_str::<Table>(TABLE) else {
        return vec!["the table of bad image versions cannot be read".to_owned()];
    };
    let mut warnings = Vec::new();
    for (key, text) in images {
        let Ok(reference) = parse_reference(text) else {
            continue;
        };
        let tag = reference.tag().unwrap_or_default();
        let affecting = table
            .pins
            .iter()
            .filter(|pin| pin.affects(reference.repository(), tag, today));
        warnings.extend(affecting.map(|pin| {
            format!(
                "image `{key}`: {}:{tag} should not be used: {}; use {} (as of {})",
                pin.repository, pin.why, pin.instead, table.checked
            )
        }));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn warned(reference: &str, today: Date) -> Option<String> {
        let images = BTreeMap::from([("it".to_owned(), reference.to_owned())]);
        let mut found = warnings(&images, today);
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    }

    #[test]
    fn bad_versions_are_named_with_what_to_use() {
        let today = date(2026, 11, 27);
        let bad = [
            "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z",
            "harbor.lan/proxy/library/nginx:1.28.0",
            "docker.io/library/nginx:1.30.3-alpine",
            "docker.io/library/postgres:17.7",
            "docker.io/clickhouse/clickhouse-server:26.3.17.4",
            "docker.io/chrislusf/seaweedfs:3.95",
        ];
        for reference in bad {
            let warning = warned(reference, today).expect(reference);
            assert!(warning.contains("; use "), "{warning}");
        }
        let nginx = warned(bad[1], today).unwrap();
        assert_eq!(
            nginx,
            "image `it`: library/nginx:1.28.0 should not be used: CVE-2026-42533 (critical), and \
             before 1.28.3 seven more; use 1.30.4 (as of 2026-11-27)"
        );
    }

    #[test]
    fn other_versions_and_other_images_are_not() {
        let today = date(2026, 11, 27);
        for reference in [
            "docker.io/library/nginx:1.30.4",
            "docker.io/library/nginx:1.31",
            "docker.io/library/postgres:16.1",
            "docker.io/library/postgres:17.11",
            "docker.io/clickhouse/clickhouse-server:25.12.3.21",
            "docker.io/clickhouse/clickhouse-server:26.3.17.54",
            "docker.io/rehearsal/nginx:1.22",
            "docker.io/langfuse/langfuse:3.225.4",
        ] {
            assert_eq!(warned(reference, today), None, "{reference}");
        }
    }

    #[test]
    fn support_ends_on_a_day() {
        let v3 = "docker.io/langfuse/langfuse:3.225.4";
        assert_eq!(warned(v3, date(2027, 1, 31)), None);
        assert!(warned(v3, date(2027, 2, 1)).unwrap().contains("Langfuse 4"));
        let v4 = "docker.io/langfuse/langfuse:4.16.0";
        assert_eq!(warned(v4, date(2030, 1, 1)), None);
    }

    /// What is in the repository is what the table tells others to use.
    #[test]
    fn our_own_definitions_are_clean() {
        for name in ["langfuse-3", "langfuse-4"] {
            let path = format!("{}/bundles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let text = fs_err::read_to_string(path).unwrap();
            let spec = crate::bundle::spec::BundleSpec::parse(&text).unwrap();
            assert_eq!(warnings(&spec.images, date(2026, 11, 27)), [""; 0]);
        }
    }
}
