//! Finding an image in an OCI index: by its name, or by its platform, however
//! many indexes lie on the way.
//!
//! Only what is used of an index is read, and `null` is as good as nothing.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::distribution::Reference;
use serde::Deserialize;

use super::image::{CONFIG_TYPES, normal_architecture};

/// Annotations that name an image, in the order of how much they say.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];
/// What an attestation of `BuildKit` says of itself.
const ATTESTATION: &str = "vnd.docker.reference.type";
/// Media types of what may be an image, or an index of them.
const TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Indexes inside each other.
const DEPTH: usize = 5;
/// Documents that are looked at for one image.
const DOCUMENTS: usize = 64;

/// An OCI index or a Docker manifest list, as far as it is used.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Index {
    manifests: Option<Vec<Entry>>,
}

/// An entry of an index.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    media_type: Option<String>,
    /// Of the document; not checked yet.
    #[serde(default)]
    pub digest: String,
    artifact_type: Option<String>,
    platform: Option<EntryPlatform>,
    annotations: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct EntryPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// How well an entry fits; the least fits best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// For every machine of the architecture.
    Common,
    /// For some machines of it.
    Variant,
    /// It does not say; its image does.
    Unsaid,
}

impl Index {
    pub fn entries(&self) -> &[Entry] {
        self.manifests.as_deref().unwrap_or_default()
    }
}

impl Entry {
    /// Names of the image, as they are written.
    fn names(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.as_ref();
        NAMES
            .iter()
            .filter_map(move |name| annotations?.get(*name)?.as_deref())
    }

    /// Whether it may lead to an image: no signature, no attestation, nothing
    /// of a kind that is not known.
    fn may_be_image(&self) -> bool {
        let known = |kind: &Option<String>, known: &[&str]| {
            let kind = kind.as_deref().filter(|kind| !kind.is_empty());
            kind.is_none_or(|kind| known.contains(&kind))
        };
        let is_attestation = self
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(ATTESTATION));
        known(&self.media_type, &TYPES)
            && known(&self.artifact_type, &CONFIG_TYPES)
            && !is_attestation
    }

    /// Such as `linux/amd64`, if it says so.
    fn platform(&self) -> Option<(String, String)> {
        let platform = self.platform.as_ref()?;
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Some((
            said(&platform.os)?.to_lowercase(),
            normal_architecture(&said(&platform.architecture)?),
        ))
    }

    fn fit(&self, os: &str, architecture: &str) -> Option<Fit> {
        match self.platform() {
            None => Some(Fit::Unsaid),
            Some((its_os, its_architecture))
                if its_os == os && its_architecture == architecture =>
            {
                let platform = self.platform.as_ref();
                let variant = platform.and_then(|platform| platform.variant.as_deref());
                Some(match variant {
                    None | Some("" | "v1" | "v8") => Fit::Common,
                    Some(_) => Fit::Variant,
                })
            }
            Some(_) => None,
        }
    }
}

/// The document as an index, if it is one.
///
/// # Errors
///
/// It is no JSON, or an index that cannot be read.
pub fn parse(bytes: &[u8]) -> serde_json::Result<Option<Index>> {
    let index: Index = serde_json::from_slice(bytes)?;
    Ok(index.manifests.is_some().then_some(index))
}

/// The way from an entry to the image of a platform: a document at a time is
/// asked for, until one is the image or none is left.
#[derive(Debug)]
pub struct Search<'a> {
    os: &'a str,
    architecture: &'a str,
    /// The next is the last.
    waiting: Vec<Candidate>,
    seen: usize,
    offered: BTreeSet<String>,
}

/// A document to be looked at.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its digest, as the index writes it.
    pub digest: String,
    /// How well its own entry fits.
    pub fit: Fit,
    depth: usize,
}

impl<'a> Search<'a> {
    /// A search for `os/architecture`.
    pub fn new(os: &'a str, architecture: &'a str) -> Self {
        Self {
            os,
            architecture,
            waiting: Vec::new(),
            seen: 0,
            offered: BTreeSet::new(),
        }
    }

    /// Looks into an index, which was found behind `from`.
    pub fn enter(&mut self, index: &Index, from: Option<&Candidate>) {
        self.consider(index.entries().iter(), from.map_or(0, |from| from.depth));
    }

    /// Looks at entries, the ones that fit best first.
    pub fn consider<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>, depth: usize) {
        let mut fitting = Vec::new();
        for entry in entries.filter(|entry| entry.may_be_image()) {
            match entry.fit(self.os, self.architecture) {
                Some(fit) if depth < DEPTH => fitting.push(Candidate {
                    digest: entry.digest.clone(),
                    fit,
                    depth: depth + 1,
                }),
                Some(_) => {}
                None => self.offered.extend(entry.platform().map(name)),
            }
        }
        fitting.sort_by_key(|candidate| candidate.fit);
        self.waiting.extend(fitting.into_iter().rev());
    }

    /// The next document to look at.
    pub fn step(&mut self) -> Option<Candidate> {
        self.seen += 1;
        if self.seen > DOCUMENTS {
            return None;
        }
        self.waiting.pop()
    }

    /// Whether an image that says this of itself is the one; it says nothing
    /// where its own entry did.
    pub fn accepts(&mut self, candidate: &Candidate, os: &str, architecture: &str) -> bool {
        let is_same = |said: &str, wanted: &str| said.is_empty() || said == wanted;
        if candidate.fit != Fit::Unsaid
            || is_same(os, self.os) && is_same(architecture, self.architecture)
        {
            return true;
        }
        self.offered
            .insert(name((os.to_owned(), architecture.to_owned())));
        false
    }

    /// Platforms that were seen and were not the one.
    pub fn offered(&self) -> Vec<String> {
        self.offered
            .iter()
            .filter(|platform| !platform.starts_with("unknown/"))
            .cloned()
            .collect()
    }
}

fn name((os, architecture): (String, String)) -> String {
    format!("{os}/{architecture}")
}

/// The entries that carry a name, which is complete as in
/// `docker.io/library/redis:7.2.11`; names in an index need not be.
pub fn named<'a>(index: &'a Index, name: &str) -> Vec<&'a Entry> {
    let is_named = |entry: &&Entry| {
        let mut names = entry.names();
        names.any(|found| complete(found).as_deref() == Some(name))
    };
    index.entries().iter().filter(is_named).collect()
}

/// Every name in an index, as it is written there.
pub fn all_names(index: &Index) -> Vec<String> {
    let first = |entry: &Entry| entry.names().next().map(str::to_owned);
    let mut all: Vec<_> = index.entries().iter().filter_map(first).collect();
    all.sort();
    all.dedup();
    all
}

/// A name with everything that Docker lets people leave out.
pub fn complete(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    Some(reference.whole())
}

#[cfg(test)]
mod tests;
