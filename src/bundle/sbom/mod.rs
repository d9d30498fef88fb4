//! The software bill of materials: which packages are in the images.
//!
//! Each layer is looked at once, while it passes, and only what a package
//! manager wrote down is kept of it ([`scan`]). What an image holds follows
//! from its layers from the base up ([`ImageContent::of`]), and the document
//! from its images ([`Bom::of`]). Everything but the scan is pure, and the same
//! layers give the same bytes.

mod budget;
mod cyclonedx;
mod licence;
mod packages;
mod purl;
mod recompute;
mod scan;

pub use cyclonedx::{Bom, Component, PackageKey, unread};
pub use packages::{Manager, Package};
pub use recompute::{SbomError, recompute, stored};
pub use scan::{LayerContent, scan};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::stack::SchemaKind;
use packages::Distribution;
use scan::Found;

/// Links that are followed from a package to its licence.
const HOPS: usize = 5;

/// What the package databases of an image say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageContent {
    /// The packages, each with its licences.
    pub packages: BTreeSet<Package>,
    /// The distribution, where the image names one.
    pub distribution: Option<Distribution>,
    /// Whether any package database is there, read or not.
    pub has_database: bool,
    /// Names of migrations by the tool that runs them.
    pub migrations: BTreeMap<SchemaKind, BTreeSet<String>>,
    /// Why more packages may be there than were listed.
    pub unread: BTreeSet<String>,
}

impl ImageContent {
    /// Puts the layers of an image on top of each other, from the base up.
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a LayerContent>) -> Self {
        let mut files: BTreeMap<&str, &Found> = BTreeMap::new();
        let mut unread = BTreeSet::new();
        for layer in layers {
            unread.extend(layer.problem.clone());
            files.retain(|path, _| !layer.hides(path));
            files.extend(
                layer
                    .files
                    .iter()
                    .map(|(path, found)| (path.as_str(), found)),
            );
        }
        let distribution = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| match files.get(path) {
                Some(Found::Distribution(distribution)) => Some(distribution.clone()),
                _ => None,
            });
        let mut migrations: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let there = files
            .iter()
            .filter(|(_, found)| ***found == Found::Migration);
        for (kind, name) in there.filter_map(|(path, _)| scan::migration(path)) {
            migrations.entry(kind).or_default().insert(name.to_owned());
        }
        let (mut packages, mut has_database) = (BTreeSet::new(), false);
        for (path, found) in &files {
            let database = match found {
                Found::Packages(database) => database,
                Found::Unread(problem) => {
                    has_database = true;
                    unread.insert(format!("`{path}`: {problem}"));
                    continue;
                }
                _ => continue,
            };
            has_database = true;
            let problem = database.problem.as_ref();
            unread.extend(problem.map(|problem| format!("`{path}`: {problem}")));
            for package in &database.packages {
                let mut package = package.clone();
                if package.manager == Manager::Dpkg {
                    package.licences = licences(&files, &package.name);
                }
                packages.insert(package);
            }
        }
        Self {
            packages,
            distribution,
            has_database,
            migrations,
            unread,
        }
    }
}

/// The licences that Debian's copyright file of a package names. File and
/// directory may be links to those of another package.
fn licences(files: &BTreeMap<&str, &Found>, package: &str) -> Arc<[String]> {
    let mut path = format!("usr/share/doc/{package}/copyright");
    for _ in 0..HOPS {
        match files.get(path.as_str()) {
            Some(Found::Licences(licences)) => return Arc::clone(licences),
            Some(Found::Link(target)) => path.clone_from(target),
            _ => {
                let Some(dir) = path.strip_suffix("/copyright") else {
                    break;
                };
                let Some(Found::Link(target)) = files.get(dir) else {
                    break;
                };
                path = format!("{target}/copyright");
            }
        }
    }
    Arc::new([])
}

#[cfg(test)]
mod tests;
