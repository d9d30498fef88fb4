//! What is kept of a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use super::budget::{Budget, problem};
use super::licence;
use super::packages::{self, Database, Distribution};
use crate::oci::layer::{Kind, LayerEntry, is_malformed, plain, walk};
use crate::stack::SchemaKind;
use crate::sys::text::one_line;

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
/// Databases that are read.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_DIR: &str = "var/lib/dpkg/status.d";
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// Where an image of Langfuse keeps the migrations that it runs.
const PRISMA: &str = "app/packages/shared/prisma/migrations";
const CLICKHOUSE: &str = "app/packages/shared/clickhouse/migrations/unclustered";
/// What every database of a package manager that is not read has, and the
/// name of that manager.
const UNREAD: [(&str, &str); 14] = [
    ("var/lib/rpm/rpmdb.sqlite", "rpm"),
    ("var/lib/rpm/Packages", "rpm"),
    ("var/lib/rpm/Packages.db", "rpm"),
    ("usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm"),
    ("usr/lib/sysimage/rpm/Packages", "rpm"),
    ("usr/lib/sysimage/rpm/Packages.db", "rpm"),
    ("usr/share/rpm/rpmdb.sqlite", "rpm"),
    ("var/lib/pacman/local", "pacman"),
    ("usr/lib/opkg/status", "opkg"),
    ("var/lib/opkg/status", "opkg"),
    ("opt/lib/opkg/status", "opkg"),
    ("var/db/pkg", "Portage"),
    ("nix/var/nix/db/db.sqlite", "Nix"),
    ("gnu/store", "Guix"),
];

/// What a file that matters says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Packages(Database),
    /// A database that is not read, and why.
    Unread(String),
    Licences(Arc<[String]>),
    Distribution(Distribution),
    /// Another path, from the root.
    Link(String),
    Migration,
}

/// What a layer adds to the package databases of the layers below, and what
/// it hides of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerContent {
    pub(super) files: BTreeMap<String, Found>,
    hidden: BTreeSet<String>,
    /// Directories whose lower content is hidden.
    opaque: BTreeSet<String>,
    /// Why more may be in the layer than was found.
    pub(super) problem: Option<String>,
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

/// Reads an inflated layer and keeps what its package databases say. A layer
/// that is no tar from some entry on, or that says more than any honest one,
/// is listed as far as that goes, with the reason.
///
/// # Errors
///
/// It cannot be read.
pub fn scan(layer: &mut dyn Read) -> io::Result<LayerContent> {
    let mut content = LayerContent::default();
    let mut budget = Budget::of_layer();
    let mut last = String::new();
    let walked = walk(layer, |entry, body| {
        last.clone_from(&entry.path);
        let kept = if content.size() < KEPT {
            keep(&mut content, entry, body, &mut budget)
        } else {
            content.problem = Some(format!("more than {KEPT} paths matter"));
            Ok(())
        };
        if let Err(error) = kept {
            let problem = format!("`{}`: {}", shown(&entry.path), problem(error)?);
            content.problem.get_or_insert(problem);
        }
        Ok(())
    });
    match walked {
        Err(error) if is_malformed(&error) => {
            let problem = match last.as_str() {
                "" => error.to_string(),
                last => format!("behind `{}` {error}", shown(last)),
            };
            content.problem = Some(problem);
            Ok(content)
        }
        walked => walked.map(|()| content),
    }
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
        if matches!(found, Found::Unread(_)) && entry.kind == Kind::Symlink {
            // What lower layers have there is not seen any more.
            content.hidden.insert(own(path, budget)?);
        }
        content.files.insert(own(path, budget)?, found);
    } else if entry.kind != Kind::Directory && matters(path) {
        // Something else now lies where a file or directory was.
        content.hidden.insert(own(path, budget)?);
    }
    Ok(())
}

/// A path to be kept, with room for what is said of it.
fn own(path: &str, budget: &mut Budget) -> io::Result<String> {
    budget.spend(size_of::<(String, Found)>() + path.len())?;
    Ok(path.to_owned())
}

/// Whether a path holds something that is kept, or is on the way to it.
fn matters(path: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let roots = [DPKG, "usr/share/doc", PRISMA, CLICKHOUSE].into_iter();
    let mut roots = roots
        .chain(APK)
        .chain(OS_RELEASE)
        .chain(UNREAD.map(|(path, _)| path));
    // A whiteout takes a whole migration, or its file.
    let migration = [PRISMA, CLICKHOUSE]
        .into_iter()
        .any(|root| within(root, path));
    let database = path.starts_with(DPKG_DIR) || migration;
    // Documentation is many files, of which one each counts.
    let doc = path.strip_prefix(DOC).map(|rest| {
        let below = rest.split_once('/').map(|(_, below)| below);
        below.is_none_or(|below| below == "copyright")
    });
    doc.unwrap_or_else(|| database || roots.any(|root| within(path, root)))
}

fn look(entry: &LayerEntry, body: &mut dyn Read, budget: &mut Budget) -> io::Result<Option<Found>> {
    let path = entry.path.as_str();
    let doc = path.strip_prefix(DOC);
    let copyright = doc.and_then(|rest| rest.strip_suffix("/copyright"));
    let is_copyright = copyright.is_some_and(|package| !package.contains('/'));
    let is_package_dir = doc.is_some_and(|rest| !rest.contains('/'));
    if let Some((_, manager)) = UNREAD.iter().find(|(unread, _)| *unread == path) {
        let problem = format!("lfctl does not read the database of {manager}");
        return Ok(Some(Found::Unread(problem)));
    }
    if (is_database(path) || leads_away(entry))
        && let Some(problem) = unreadable(entry)
    {
        return Ok(Some(Found::Unread(problem)));
    }
    if entry.kind == Kind::File && migration(path).is_some() {
        return Ok(Some(Found::Migration));
    }
    match entry.kind {
        Kind::Symlink if is_copyright || is_package_dir => {
            budget.spend(entry.target.len())?;
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            return Ok(resolve(dir, &entry.target).map(Found::Link));
        }
        Kind::Hardlink if is_copyright => {
            budget.spend(entry.target.len())?;
            return Ok(Some(Found::Link(plain(&entry.target))));
        }
        Kind::File => {}
        _ => return Ok(None),
    }
    if is_copyright {
        return licence::debian(&mut body.take(COPYRIGHT), budget)
            .map(|found| Some(Found::Licences(found.into())));
    }
    Ok(if APK.contains(&path) {
        Some(Found::Packages(packages::apk(body, budget)?))
    } else if OS_RELEASE.contains(&path) {
        packages::os_release(body)?.map(Found::Distribution)
    } else if is_database(path) {
        Some(Found::Packages(packages::dpkg(body, budget)?))
    } else {
        None
    })
}

/// The tool and the name of the migration at this path.
pub(super) fn migration(path: &str) -> Option<(SchemaKind, &str)> {
    let below = |root: &str| path.strip_prefix(root)?.strip_prefix('/');
    let name = if let Some(rest) = below(PRISMA) {
        (SchemaKind::Prisma, rest.strip_suffix("/migration.sql")?)
    } else {
        (
            SchemaKind::GolangMigrate,
            below(CLICKHOUSE)?.strip_suffix(".up.sql")?,
        )
    };
    (!name.1.contains('/')).then_some(name)
}

/// Whether a path is a database that is read.
fn is_database(path: &str) -> bool {
    // Images without a package manager: one file each, and checksums.
    let below = path.strip_prefix(DPKG_DIR);
    let one = below.is_some_and(|rest| rest.starts_with('/') && !rest.ends_with(".md5sums"));
    one || path == DPKG || APK.contains(&path)
}

/// Whether a link stands for a directory of dpkg, apk or rpm, and what is in
/// it does not lie at a place that is known.
fn leads_away(entry: &LayerEntry) -> bool {
    let dir = entry.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let known = |path: &str| is_database(path) || UNREAD.iter().any(|(unread, _)| *unread == path);
    let rpm = UNREAD.iter().filter(|(_, manager)| *manager == "rpm");
    let mut databases = [DPKG]
        .into_iter()
        .chain(APK)
        .chain(rpm.map(|(path, _)| *path));
    entry.kind == Kind::Symlink
        && databases.any(|database| {
            let below = database.strip_prefix(&entry.path);
            let Some(below) = below.filter(|below| below.starts_with('/')) else {
                return false;
            };
            let target = resolve(dir, &entry.target);
            target.is_none_or(|target| !known(&plain(&format!("{target}{below}"))))
        })
}

/// Why the database at this path cannot be read, if it cannot.
fn unreadable(entry: &LayerEntry) -> Option<String> {
    let target = match entry.kind {
        Kind::File if entry.is_sparse => {
            return Some("the file is stored without its holes".to_owned());
        }
        Kind::Symlink => {
            let dir = entry.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            resolve(dir, &entry.target)
        }
        Kind::Hardlink => Some(plain(&entry.target)),
        _ => return None,
    };
    match target {
        // That one is read where it lies.
        Some(target) if is_database(&target) => None,
        _ => Some(format!("it is a link to `{}`", shown(&entry.target))),
    }
}

/// A path of a layer as people may see it.
fn shown(path: &str) -> String {
    one_line(&path.replace(char::is_control, " "))
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
