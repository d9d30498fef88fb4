//! What is kept of a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use super::budget::Budget;
use super::licence;
use super::packages::{self, Distribution, Package};
use crate::oci::layer::{Kind, LayerEntry, plain, walk};

/// Prefix of a name that hides one of a lower layer.
const WHITEOUT: &str = ".wh.";
/// Name that hides everything of lower layers beside it.
const OPAQUE: &str = ".wh..wh..opq";
/// Paths and links that are kept of one layer. Debian has some 60,000
/// packages in all.
const KEPT: usize = 100_000;
/// Bytes of a copyright file that are looked at.
const COPYRIGHT: u64 = 4 << 20;
const DOC: &str = "usr/share/doc/";

/// What a file that matters says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Packages(Vec<Package>),
    Licences(Arc<[String]>),
    Distribution(Distribution),
    /// Another path, from the root.
    Link(String),
}

/// What a layer adds to the package databases of the layers below, and what
/// it hides of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerContent {
    pub(super) files: BTreeMap<String, Found>,
    hidden: BTreeSet<String>,
    /// Directories whose lower content is hidden.
    opaque: BTreeSet<String>,
}

impl LayerContent {
    /// Whether a path of the layers below is gone.
    pub(super) fn hides(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.opaque.contains("")
            || self.hidden.contains(path)
            || above
                .into_iter()
                .any(|dir| self.hidden.contains(dir) || self.opaque.contains(dir))
    }

    fn size(&self) -> usize {
        self.files.len() + self.hidden.len() + self.opaque.len()
    }
}

/// Reads an inflated layer and keeps what its package databases say.
///
/// # Errors
///
/// It cannot be read, is no tar, or says more than any honest layer.
pub fn scan(layer: &mut dyn Read) -> io::Result<LayerContent> {
    let mut content = LayerContent::default();
    let mut budget = Budget::of_layer();
    walk(layer, |entry, body| {
        if content.size() >= KEPT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a layer has more than {KEPT} paths that matter"),
            ));
        }
        keep(&mut content, entry, body, &mut budget)
    })?;
    Ok(content)
}

fn keep(
    content: &mut LayerContent,
    entry: &LayerEntry,
    body: &mut dyn Read,
    budget: &mut Budget,
) -> io::Result<()> {
    let path = entry.path.as_str();
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == OPAQUE {
        if matters(dir) {
            content.opaque.insert(own(dir, budget)?);
        }
    } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        let hidden = plain(&format!("{dir}/{hidden}"));
        if matters(&hidden) {
            content.hidden.insert(own(&hidden, budget)?);
        }
    } else if let Some(found) = look(entry, body, budget)? {
        content.files.insert(own(path, budget)?, found);
    } else if entry.kind != Kind::Directory && matters(path) {
        // Something else now lies where a file or directory was.
        content.hidden.insert(own(path, budget)?);
    }
    Ok(())
}

/// A path to be kept, with room for what is said of it.
fn own(path: &str, budget: &mut Budget) -> io::Result<String> {
    budget.take(size_of::<(String, Found)>() + path.len())?;
    Ok(path.to_owned())
}

/// Whether a path holds something that is kept, or is on the way to it.
fn matters(path: &str) -> bool {
    const ROOTS: [&str; 6] = [
        "var/lib/dpkg/status",
        "lib/apk/db/installed",
        "usr/lib/apk/db/installed",
        "etc/os-release",
        "usr/lib/os-release",
        "usr/share/doc",
    ];
    let within = |outer: &str, inner: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let database = path.starts_with("var/lib/dpkg/status.d");
    // Documentation is many files, of which one each counts.
    let doc = path.strip_prefix(DOC).map(|rest| {
        let below = rest.split_once('/').map(|(_, below)| below);
        below.is_none_or(|below| below == "copyright")
    });
    doc.unwrap_or_else(|| database || ROOTS.iter().any(|root| within(path, root)))
}

fn look(entry: &LayerEntry, body: &mut dyn Read, budget: &mut Budget) -> io::Result<Option<Found>> {
    let path = entry.path.as_str();
    let doc = path.strip_prefix(DOC);
    let copyright = doc.and_then(|rest| rest.strip_suffix("/copyright"));
    let is_copyright = copyright.is_some_and(|package| !package.contains('/'));
    let is_package_dir = doc.is_some_and(|rest| !rest.contains('/'));
    match entry.kind {
        Kind::Symlink if is_copyright || is_package_dir => {
            budget.take(entry.target.len())?;
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            return Ok(resolve(dir, &entry.target).map(Found::Link));
        }
        Kind::Hardlink if is_copyright => {
            budget.take(entry.target.len())?;
            return Ok(Some(Found::Link(plain(&entry.target))));
        }
        Kind::File => {}
        _ => return Ok(None),
    }
    if is_copyright {
        return licence::debian(&mut body.take(COPYRIGHT), budget)
            .map(|found| Some(Found::Licences(found.into())));
    }
    match path {
        "var/lib/dpkg/status" => {
            packages::dpkg(body, budget).map(|found| Some(Found::Packages(found)))
        }
        "lib/apk/db/installed" | "usr/lib/apk/db/installed" => {
            packages::apk(body, budget).map(|found| Some(Found::Packages(found)))
        }
        "etc/os-release" | "usr/lib/os-release" => {
            Ok(packages::os_release(body)?.map(Found::Distribution))
        }
        // Images without a package manager: one file each, and checksums.
        _ if path.starts_with("var/lib/dpkg/status.d/") && !path.ends_with(".md5sums") => {
            packages::dpkg(body, budget).map(|found| Some(Found::Packages(found)))
        }
        _ => Ok(None),
    }
}

/// Where a symbolic link in `dir` leads; `None` for out of the root.
fn resolve(dir: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => dir.split('/').collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
