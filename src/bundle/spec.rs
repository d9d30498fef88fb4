//! The bundle spec: what to bundle, as `bundles/*.toml` writes it.
//!
//! Pure: text in, value out. Every image reference in a parsed spec is
//! complete (registry, repository, exact tag), so nothing behind it guesses.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::distribution::Reference;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::manifest::{Platform, Release, UpgradeRules};
use super::migrations::largest;
use crate::oci::digest::Digest;
use crate::sign::TrustStatement;
use crate::stack::Stack;
use crate::stack::validate::{is_legal_name, validate};

/// Version of the spec format that this lfctl reads.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BundleSpec {
    /// Format version, see [`SCHEMA`].
    pub schema: u32,
    /// What the bundle will be.
    pub release: Release,
    /// The oldest lfctl that can install it.
    pub lfctl: Version,
    /// Platforms it can be made for, such as `linux/amd64`.
    pub platforms: Vec<String>,
    /// Image references by the key that services use.
    pub images: BTreeMap<String, String>,
    /// What may be upgraded to it.
    #[serde(default)]
    pub upgrade: UpgradeRules,
    /// What the bundle's signer says of other keys.
    #[serde(default, skip_serializing_if = "TrustStatement::is_empty")]
    pub trust: TrustStatement,
    /// The stack definition.
    pub stack: Stack,
}

/// Why a text is not a bundle spec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Not TOML of the right shape.
    #[error("bundle spec cannot be read")]
    Toml(#[source] toml::de::Error),
    /// A schema this lfctl does not know.
    #[error("bundle spec has schema {found}; this lfctl reads schema {SCHEMA}")]
    Schema {
        /// Schema of the text.
        found: u32,
    },
    /// A release name that would not survive in file names and comments.
    #[error("release name `{0}` may hold lower-case letters, digits and `-` only")]
    Name(String),
    /// Not an operating system and an architecture.
    #[error("platform `{0}` is not of the form linux/amd64")]
    Platform(String),
    /// No platform at all.
    #[error("bundle spec names no platform")]
    NoPlatform,
    /// An image reference that leaves something to chance.
    #[error("image `{key}`: reference `{reference}` {problem}")]
    Reference {
        /// The image's key.
        key: String,
        /// The reference as written.
        reference: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// The stack definition refers to something that is not there.
    #[error("stack definition is wrong: {}", .0.join("; "))]
    Stack(Vec<String>),
}

impl BundleSpec {
    /// Reads and checks the text of a spec.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        #[derive(Deserialize)]
        struct Probe {
            schema: u32,
        }
        // A newer schema may hold fields that this lfctl does not know.
        let probe: Probe = toml::from_str(text).map_err(SpecError::Toml)?;
        if probe.schema != SCHEMA {
            return Err(SpecError::Schema {
                found: probe.schema,
            });
        }
        let spec: Self = toml::from_str(text).map_err(SpecError::Toml)?;
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), SpecError> {
        check_name(&self.release.name)?;
        if self.platforms.is_empty() {
            return Err(SpecError::NoPlatform);
        }
        for platform in &self.platforms {
            parse_platform(platform)?;
        }
        let mut digests = BTreeMap::new();
        for (key, reference) in &self.images {
            let bad = |problem: String| SpecError::Reference {
                key: key.clone(),
                reference: reference.clone(),
                problem,
            };
            if !is_legal_name(key) {
                return Err(bad(
                    "has a key that is not a name of a-z, 0-9 and `-`".to_owned()
                ));
            }
            let parsed = parse_reference(reference).map_err(bad)?;
            let digest = parsed.digest().map(str::to_owned);
            let tag = reference.split('@').next().unwrap_or(reference);
            if *digests.entry(tag).or_insert_with(|| digest.clone()) != digest {
                return Err(bad(format!("gives `{tag}` another digest than before")));
            }
        }
        check_stack(&self.stack, &self.images.keys().cloned().collect())
    }

    /// The platforms, parsed.
    pub fn platforms(&self) -> Result<Vec<Platform>, SpecError> {
        self.platforms
            .iter()
            .map(|text| parse_platform(text))
            .collect()
    }
}

/// The single place where a spec meets the rules of the stack definition.
fn check_stack(stack: &Stack, images: &BTreeSet<String>) -> Result<(), SpecError> {
    // What it leaves to the image is right whatever it will be.
    validate(&largest(stack), images)
        .map_err(|errors| SpecError::Stack(errors.iter().map(ToString::to_string).collect()))
}

const LONGEST_RELEASE_NAME: usize = 64;

/// Whether a release name survives in file names and comments.
pub(super) fn is_release_name(name: &str) -> bool {
    (1..=LONGEST_RELEASE_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn check_name(name: &str) -> Result<(), SpecError> {
    is_release_name(name)
        .then_some(())
        .ok_or_else(|| SpecError::Name(name.to_owned()))
}

/// Reads `os/architecture`.
pub fn parse_platform(text: &str) -> Result<Platform, SpecError> {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match text.split_once('/') {
        Some((os, architecture)) if word(os) && word(architecture) => Ok(Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
        }),
        _ => Err(SpecError::Platform(text.to_owned())),
    }
}

/// Reads a complete reference with an exact tag, and perhaps a digest.
///
/// # Errors
///
/// What is wrong with it and what to write instead.
pub fn parse_reference(text: &str) -> Result<Reference, String> {
    let reference = parse_pinned(text)?;
    let name = format!("{}/{}", reference.registry(), reference.repository());
    let tag = reference.tag().unwrap_or_default();
    if tag == "latest" {
        return Err(format!(
            "moves with every release; write an exact version, such as `{name}:1.2.3`"
        ));
    }
    if is_bare_major(tag) {
        return Err(format!(
            "moves with every release of that major version; write an exact version, such as \
             `{name}:{tag}.2.3`",
            tag = tag.split('-').next().unwrap_or(tag)
        ));
    }
    if reference.digest().is_none() && !is_exact(tag) {
        return Err(format!(
            "may move: `{tag}` is not an exact version; write one, such as `{name}:1.2.3`, or add the \
             digest, as in `{name}:{tag}@sha256:…`"
        ));
    }
    Ok(reference)
}

/// Reads a reference whose digest is fixed elsewhere: written in full, with a
/// tag of any form.
///
/// # Errors
///
/// What is wrong with it and what to write instead.
pub(super) fn parse_pinned(text: &str) -> Result<Reference, String> {
    let reference: Reference = text
        .parse()
        .map_err(|error| format!("cannot be read: {error}"))?;
    let without_digest = text.split('@').next().unwrap_or(text);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    if reference.tag().is_none() || !last.contains(':') {
        return Err(format!(
            "names no tag; write an exact version, such as `{}/{}:1.2.3`",
            reference.registry(),
            reference.repository()
        ));
    }
    let digest = reference.digest().map(str::parse::<Digest>).transpose();
    digest.map_err(|error| format!("is pinned to what cannot be checked: {error}"))?;
    if reference.whole() != text {
        return Err(format!(
            "leaves out where the image comes from; write `{}`",
            reference.whole()
        ));
    }
    Ok(reference)
}

/// `7`, `v7`, `17-alpine`; but not a date such as `20260102`.
fn is_bare_major(tag: &str) -> bool {
    let version = tag.split('-').next().unwrap_or(tag);
    let digits = version.strip_prefix('v').unwrap_or(version);
    (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a tag names one release, as far as its spelling can tell: it holds
/// a version of at least two numbers (`17.7`, `v1.2.3`, `7.2.11-alpine`) or a
/// day (`20260102`, `RELEASE.2025-09-07T16-13-09Z`). A number behind letters,
/// as in `lts-alpine3.20`, is that of something else.
fn is_exact(tag: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = |word: &str| {
        let mut parts = word.strip_prefix('v').unwrap_or(word).split('.');
        parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number)
    };
    let is_day = |word: &str| word.len() >= 8 && is_number(word);
    let is_exact = |word: &str| is_version(word) || is_day(word);
    tag.split(['-', '_']).any(is_exact) || holds_day(tag)
}

/// Whether a text holds a day such as `2025-09-07`.
fn holds_day(text: &str) -> bool {
    let is_day = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    text.as_bytes().windows(10).any(is_day)
}

/// A reference as operators see it: with its tag and without a digest, since
/// Docker refuses to tag an image with both.
pub fn tagged(reference: &Reference) -> String {
    format!(
        "{}/{}:{}",
        reference.registry(),
        reference.repository(),
        reference.tag().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_references_pass() {
        let digest = crate::oci::digest::Digest::of(b"");
        for good in [
            "docker.io/library/redis:7.2.5",
            "docker.io/langfuse/langfuse:3.225.4",
            "cgr.dev/chainguard/minio:RELEASE.2025-10-15T17-29-55Z",
            "127.0.0.1:5000/a/b:20260102",
            "docker.io/library/postgres:17.7",
            "docker.io/library/redis:7.2.11-alpine",
            "docker.io/library/redis:7.2.11-alpine3.21",
            "docker.io/clickhouse/clickhouse-server:25.8.2.29-alpine",
            "docker.io/library/debian:bookworm-20260102-slim",
            "quay.io/a/b:v1.2.3",
            "quay.io/a/b:release-1.2.3_4",
            "quay.io/a/b:1.2.3rc1",
            &format!("docker.io/library/redis:7.2.5@{digest}"),
            &format!("docker.io/library/redis:stable@{digest}"),
        ] {
            parse_reference(good).unwrap();
        }
    }

    #[test]
    fn what_moves_is_refused_and_says_what_to_write() {
        for (bad, hint) in [
            ("redis:7.2.5", "`docker.io/library/redis:7.2.5`"),
            ("docker.io/library/redis", "names no tag"),
            ("localhost:5000/redis", "names no tag"),
            ("docker.io/library/redis:latest", "redis:1.2.3"),
            ("docker.io/library/redis:7", "redis:7.2.3"),
            ("docker.io/library/redis:v7", "redis:v7.2.3"),
            ("docker.io/library/redis:7-alpine", "redis:7.2.3"),
            ("docker.io/library/redis:7-alpine3.20", "redis:7.2.3"),
            ("docker.io/library/redis:stable", "redis:1.2.3"),
            ("docker.io/library/redis:stable", "redis:stable@sha256:"),
            ("docker.io/library/redis:edge", "exact version"),
            ("docker.io/library/redis:alpine", "exact version"),
            ("docker.io/library/redis:alpine3.20", "exact version"),
            ("docker.io/library/redis:bookworm", "exact version"),
            ("docker.io/library/node:lts-alpine3.20", "exact version"),
            ("quay.io/a/b:main", "exact version"),
            ("quay.io/a/b:sha-1234567", "exact version"),
            ("quay.io/a/b:1.x", "exact version"),
            ("quay.io/a/b:20260", "exact version"),
            ("docker.io/library/Redis:7.1", "cannot be read"),
        ] {
            let problem = parse_reference(bad).unwrap_err();
            assert!(problem.contains(hint), "{bad}: {problem}");
        }
    }

    #[test]
    fn a_digest_that_cannot_be_checked_is_refused() {
        for bad in [
            format!("sha512:{}", "0".repeat(128)),
            format!("sha384:{}", "0".repeat(96)),
            format!("sha256:{}", "A".repeat(64)),
        ] {
            let text = format!("docker.io/library/redis:7.2.5@{bad}");
            let problem = parse_reference(&text).unwrap_err();
            assert!(problem.contains("cannot be checked"), "{bad}: {problem}");
        }
    }

    #[test]
    fn a_digest_is_kept_out_of_the_operators_view() {
        let digest = crate::oci::digest::Digest::of(b"");
        let text = format!("docker.io/library/redis:7.2.5@{digest}");
        let reference = parse_reference(&text).unwrap();
        assert_eq!(tagged(&reference), "docker.io/library/redis:7.2.5");
    }

    #[test]
    fn a_tag_stands_for_one_digest_and_a_key_is_a_name() {
        let text = include_str!("../../bundles/langfuse-4.toml");
        let after = |change: fn(&mut BundleSpec)| {
            let mut spec = BundleSpec::parse(text).unwrap();
            change(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        let two = after(|spec| {
            let pinned = |content: &[u8]| {
                let digest = crate::oci::digest::Digest::of(content);
                format!("docker.io/library/redis:7.2.5@{digest}")
            };
            spec.images.insert("one".into(), pinned(b"1"));
            spec.images.insert("two".into(), pinned(b"2"));
        });
        assert!(two.contains("another digest than before"), "{two}");
        let key = after(|spec| {
            let image = "docker.io/library/redis:7.2.5".to_owned();
            spec.images.insert("A b".into(), image);
        });
        assert!(key.contains("not a name of a-z"), "{key}");
    }

    #[test]
    fn platforms_have_two_words() {
        parse_platform("linux/amd64").unwrap();
        for bad in ["linux", "linux/", "linux/arm/v7", "Linux/amd64"] {
            assert!(parse_platform(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_newer_schema_is_named_before_anything_else() {
        let error = BundleSpec::parse("schema = 9\nsomething-new = true\n").unwrap_err();
        assert!(matches!(error, SpecError::Schema { found: 9 }), "{error}");
    }
}
