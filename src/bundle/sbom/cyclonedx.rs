//! The document: `CycloneDX` 1.5 as JSON.
//!
//! Deterministic: lists are sorted, the time is the bundle's own, and the
//! serial number follows from the images.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::licence::{self, Licence};
use super::packages::{Distribution, Package};
use super::{ImageContent, LayerContent, purl};
use crate::bundle::manifest::{BundleImage, BundleManifest};
use crate::oci::digest::Digest;

const ROOT: &str = "release";

/// A bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    #[serde(rename = "bomFormat")]
    format: String,
    spec_version: String,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    /// Images and packages.
    pub components: Vec<Component>,
    dependencies: Vec<Dependency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    compositions: Vec<Composition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tools {
    components: Vec<Component>,
}

/// Something that is inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Such as `container` or `library`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(rename = "bom-ref", default, skip_serializing_if = "String::is_empty")]
    reference: String,
    pub name: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    purl: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoice {
    License(NamedLicence),
    Expression(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NamedLicence {
    Id(String),
    Name(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    #[serde(rename = "dependsOn", default, skip_serializing_if = "Vec::is_empty")]
    on: Vec<String>,
}

/// How much of the images named is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Composition {
    aggregate: String,
    assemblies: Vec<String>,
}

/// What stays the same of a package when its version changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageKey {
    /// Such as `deb`.
    pub kind: String,
    pub name: String,
    /// Such as `amd64`; may be empty.
    pub architecture: String,
}

fn metadata(manifest: &BundleManifest) -> Metadata {
    Metadata {
        timestamp: manifest.created.to_string(),
        tools: Tools {
            components: vec![Component {
                kind: "application".to_owned(),
                name: "lfctl".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..Component::default()
            }],
        },
        component: Component {
            kind: "application".to_owned(),
            reference: ROOT.to_owned(),
            name: manifest.release.name.clone(),
            version: manifest.release.version.to_string(),
            ..Component::default()
        },
    }
}

/// Those that say something of an image.
fn compositions(by_aggregate: [(&str, BTreeSet<String>); 2]) -> Vec<Composition> {
    by_aggregate
        .into_iter()
        .filter(|(_, images)| !images.is_empty())
        .map(|(aggregate, images)| Composition {
            aggregate: aggregate.to_owned(),
            assemblies: images.into_iter().collect(),
        })
        .collect()
}

impl Bom {
    /// The bill of a bundle, out of the content of its layers by digest.
    /// Layers that are not among them count as empty.
    ///
    /// # Errors
    ///
    /// `InvalidData`: it would be larger than any reader takes.
    pub fn of(
        manifest: &BundleManifest,
        layers: &BTreeMap<Digest, LayerContent>,
    ) -> io::Result<Self> {
        let mut budget = Budget::of_document();
        let images: BTreeMap<Digest, &BundleImage> = manifest
            .images
            .values()
            .map(|image| (image.manifest, image))
            .collect();
        let mut components = BTreeMap::new();
        let mut dependencies = Vec::new();
        let (mut incomplete, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for image in images.values() {
            let content = content_of(image, layers);
            let reference = image_reference(&image.manifest);
            if !content.unread.is_empty() {
                incomplete.insert(reference);
            } else if !content.has_database {
                unknown.insert(reference);
            }
            let mut on = BTreeSet::new();
            for package in &content.packages {
                let component = of_package(package, content.distribution.as_ref());
                // Packages share their licences, what is written does not.
                budget.spend(component.weight())?;
                on.insert(component.reference.clone());
                components.insert((1, component.reference.clone()), component);
            }
            let component = of_image(image);
            dependencies.push(Dependency {
                of: component.reference.clone(),
                on: on.into_iter().collect(),
            });
            components.insert((0, component.reference.clone()), component);
        }
        dependencies.sort_by(|a, b| a.of.cmp(&b.of));
        dependencies.insert(
            0,
            Dependency {
                of: ROOT.to_owned(),
                on: dependencies.iter().map(|image| image.of.clone()).collect(),
            },
        );
        Ok(Self {
            format: "CycloneDX".to_owned(),
            spec_version: "1.5".to_owned(),
            serial_number: serial_number(manifest),
            version: 1,
            metadata: metadata(manifest),
            components: components.into_values().collect(),
            dependencies,
            compositions: compositions([("incomplete", incomplete), ("unknown", unknown)]),
        })
    }

    /// The document.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads a document that [`Bom::to_json`] wrote.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Versions of the packages in an image, named by its manifest.
    pub fn packages(&self, image: &Digest) -> BTreeMap<PackageKey, BTreeSet<String>> {
        let reference = image_reference(image);
        let on = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.of == reference)
            .flat_map(|dependency| &dependency.on)
            .collect::<BTreeSet<_>>();
        let mut packages: BTreeMap<PackageKey, BTreeSet<String>> = BTreeMap::new();
        for component in &self.components {
            if on.contains(&component.reference) {
                let versions = packages.entry(component.key()).or_default();
                versions.insert(component.version.clone());
            }
        }
        packages
    }
}

fn content_of(image: &BundleImage, layers: &BTreeMap<Digest, LayerContent>) -> ImageContent {
    let stack = image.layers.iter();
    ImageContent::of(stack.filter_map(|layer| layers.get(&layer.digest)))
}

/// Which images may hold more packages than are listed, and why.
pub fn unread(
    manifest: &BundleManifest,
    layers: &BTreeMap<Digest, LayerContent>,
) -> BTreeSet<String> {
    let images = manifest.images.values();
    images
        .flat_map(|image| {
            let unread = content_of(image, layers).unread.into_iter();
            unread.map(move |problem| format!("`{}` in {problem}", image.reference))
        })
        .collect()
}

impl Component {
    /// Bytes of its text, as often as it is written.
    fn weight(&self) -> usize {
        let licences = self.licenses.iter().map(|licence| match licence {
            LicenceChoice::License(NamedLicence::Id(text) | NamedLicence::Name(text))
            | LicenceChoice::Expression(text) => text.len(),
        });
        let once = self.name.len() + self.version.len() + self.purl.len();
        once + 2 * self.reference.len() + licences.sum::<usize>()
    }

    fn key(&self) -> PackageKey {
        let (kind, architecture) = purl::kind_and_architecture(&self.purl);
        PackageKey {
            kind,
            name: self.name.clone(),
            architecture,
        }
    }
}

fn image_reference(manifest: &Digest) -> String {
    format!("image:{manifest}")
}

fn of_image(image: &BundleImage) -> Component {
    let (name, tag) = image
        .reference
        .rsplit_once(':')
        .unwrap_or((&image.reference, ""));
    Component {
        kind: "container".to_owned(),
        reference: image_reference(&image.manifest),
        name: name.to_owned(),
        version: tag.to_owned(),
        hashes: vec![Hash {
            alg: "SHA-256".to_owned(),
            content: image.manifest.hex(),
        }],
        purl: purl::of_image(name, tag, &image.manifest).unwrap_or_default(),
        ..Component::default()
    }
}

fn of_package(package: &Package, distribution: Option<&Distribution>) -> Component {
    let purl = purl::of_package(package, distribution);
    let named = || format!("package:{}@{}", package.name, package.version);
    Component {
        kind: "library".to_owned(),
        reference: purl.clone().unwrap_or_else(named),
        name: package.name.clone(),
        version: package.version.clone(),
        licenses: licences(&package.licences),
        purl: purl.unwrap_or_default(),
        ..Component::default()
    }
}

/// One expression, or any number of licences: `CycloneDX` takes no mixture.
fn licences(texts: &[String]) -> Vec<LicenceChoice> {
    if let [text] = texts
        && licence::is_expression(text)
    {
        return vec![LicenceChoice::Expression(text.clone())];
    }
    let named: BTreeSet<_> = texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| licence::spdx(text))
        .collect();
    named
        .into_iter()
        .map(|licence| {
            LicenceChoice::License(match licence {
                Licence::Id(id) => NamedLicence::Id(id.to_owned()),
                Licence::Name(name) => NamedLicence::Name(name),
            })
        })
        .collect()
}

/// A UUID of version 8, which is made as one likes, out of the images.
fn serial_number(manifest: &BundleManifest) -> String {
    let mut text = manifest.release.to_string();
    for image in manifest.images.values() {
        text.push_str(&image.manifest.to_string());
    }
    let hex = Digest::of(text.as_bytes()).hex();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}
