//! Finding an image in an OCI index: by its platform, or by its name.

use oci_spec::distribution::Reference;
use oci_spec::image::{Arch, Descriptor, ImageIndex, Os};
use serde::Deserialize;

/// Annotations that name an image, in the order of how much they say.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

/// The document as an index, if it is one.
///
/// # Errors
///
/// It is no JSON, or an index that cannot be read.
pub fn parse(bytes: &[u8]) -> serde_json::Result<Option<ImageIndex>> {
    #[derive(Deserialize)]
    struct Probe {
        manifests: Option<serde::de::IgnoredAny>,
    }
    let probe: Probe = serde_json::from_slice(bytes)?;
    probe
        .manifests
        .map(|_| serde_json::from_slice(bytes))
        .transpose()
}

/// The entry of a platform; of several, the one that suits every machine of
/// the architecture. Attestations are for the platform `unknown/unknown`.
pub fn pick<'a>(index: &'a ImageIndex, os: &str, architecture: &str) -> Option<&'a Descriptor> {
    let (os, architecture) = (Os::from(os), Arch::from(architecture));
    let mut entries = index.manifests().iter().filter(|entry| {
        entry.platform().as_ref().is_some_and(|platform| {
            *platform.os() == os && *platform.architecture() == architecture
        })
    });
    let is_common = |entry: &&Descriptor| {
        let platform = entry.platform().as_ref();
        let variant = platform.and_then(|platform| platform.variant().as_deref());
        matches!(variant, None | Some("v1" | "v8"))
    };
    let first = entries.clone().next();
    entries.find(is_common).or(first)
}

/// Platforms of an index, as `linux/amd64`.
pub fn platforms(index: &ImageIndex) -> Vec<String> {
    index
        .manifests()
        .iter()
        .filter_map(|entry| entry.platform().as_ref())
        .filter(|platform| platform.os().to_string() != "unknown")
        .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
        .collect()
}

/// The entries that carry a name, which is complete as in
/// `docker.io/library/redis:7.2.11`; names in an index need not be.
pub fn named(index: &ImageIndex, name: &str) -> ImageIndex {
    let mut found = index.clone();
    let entries = index.manifests().iter();
    found.set_manifests(
        entries
            .filter(|entry| names(entry).any(|found| complete(found).as_deref() == Some(name)))
            .cloned()
            .collect(),
    );
    found
}

/// Every name in an index, as it is written there.
pub fn all_names(index: &ImageIndex) -> Vec<String> {
    let mut all: Vec<_> = index
        .manifests()
        .iter()
        .filter_map(|entry| names(entry).next().map(str::to_owned))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    let annotations = entry.annotations().as_ref();
    NAMES
        .iter()
        .filter_map(move |name| annotations?.get(*name).map(String::as_str))
}

/// A name with everything that Docker lets people leave out.
pub fn complete(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    Some(reference.whole())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &str) -> ImageIndex {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        parse(text.as_bytes()).unwrap().unwrap()
    }

    fn entry(digit: char, platform: &str, annotations: &str) -> String {
        let digest = digit.to_string().repeat(64);
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}","size":2{platform},"annotations":{{{annotations}}}}}"#
        )
    }

    const AMD: &str = r#","platform":{"os":"linux","architecture":"amd64"}"#;
    const ARM: &str = r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#;
    const PROOF: &str = r#","platform":{"os":"unknown","architecture":"unknown"}"#;

    #[test]
    fn an_attestation_is_no_platform() {
        let index = index(
            &[
                entry('0', PROOF, ""),
                entry('1', AMD, ""),
                entry('2', ARM, ""),
            ]
            .join(","),
        );
        let digest = |architecture| {
            pick(&index, "linux", architecture).map(|found| found.digest().to_string())
        };
        assert!(digest("amd64").unwrap().ends_with('1'));
        assert!(digest("arm64").unwrap().ends_with('2'));
        assert_eq!(digest("unknown"), None);
        assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
    }

    #[test]
    fn a_name_may_leave_out_what_docker_adds() {
        let short = r#""org.opencontainers.image.ref.name":"redis:7.2.11""#;
        let both = r#""org.opencontainers.image.ref.name":"1.0","io.containerd.image.name":"quay.io/a/b:1.0""#;
        let index = index(
            &[
                entry('1', AMD, short),
                entry('2', "", both),
                entry('3', "", ""),
            ]
            .join(","),
        );
        let digests = |name| -> Vec<_> {
            let found = named(&index, name);
            found
                .manifests()
                .iter()
                .map(|entry| entry.digest().to_string().pop())
                .collect()
        };
        assert_eq!(digests("docker.io/library/redis:7.2.11"), [Some('1')]);
        assert_eq!(digests("quay.io/a/b:1.0"), [Some('2')]);
        assert!(digests("docker.io/library/redis:7.2").is_empty());
        assert_eq!(all_names(&index), ["quay.io/a/b:1.0", "redis:7.2.11"]);
    }

    #[test]
    fn a_manifest_is_no_index() {
        assert!(
            parse(br#"{"schemaVersion":2,"layers":[]}"#)
                .unwrap()
                .is_none()
        );
        assert!(parse(b"[").is_err());
        assert!(parse(br#"{"manifests":7}"#).is_err());
    }
}
