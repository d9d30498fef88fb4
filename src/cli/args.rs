//! Argument groups that several commands share.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Context;
use super::failure::{Failure, Kind};
use super::parts::{Depth, Split};
use crate::bundle::countersign;
use crate::bundle::open::{Bundle, UntrustedBundle};
use crate::bundle::parts::{EXTENSION, directory, list_of};
use crate::host::trust::TrustStore;
use crate::report::event::{Level, notice};

/// Which appliance.
#[derive(Debug, clap::Args)]
pub struct NameArg {
    /// Name of the appliance on this host
    #[arg(long, value_name = "NAME", default_value = "langfuse")]
    pub name: String,
}

/// Which bundle, and how far it is trusted.
#[derive(Debug, clap::Args)]
pub struct BundleArg {
    /// The bundle; may be left out when exactly one `*.tar` or `*.parts` lies here or beside lfctl
    #[arg(value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Take the bundle without checking who signed it; the audit log keeps what is loaded or
    /// installed so
    #[arg(long)]
    pub insecure_skip_signature: bool,
    /// Look here as well for the parts of the bundle and for signatures of it; may be repeated
    #[arg(long, value_name = "DIR")]
    pub parts_in: Vec<PathBuf>,
}

/// Bundles that have what a delta bundle leaves out.
#[derive(Debug, clap::Args)]
pub struct BaseArg {
    /// Take layers that a delta bundle leaves out and the engine lacks from this one; may be repeated
    #[arg(long, value_name = "BUNDLE")]
    base: Vec<PathBuf>,
}

impl BaseArg {
    /// Opens them as `bundle` was. Their layers are hashed while they are read.
    pub(super) fn open(
        &self,
        bundle: &BundleArg,
        store: Option<&TrustStore>,
        context: &Context,
    ) -> Result<Vec<Bundle>, Failure> {
        let opened = self.base.iter().map(|path| {
            let base = BundleArg {
                bundle: Some(path.clone()),
                insecure_skip_signature: bundle.insecure_skip_signature,
                parts_in: bundle.parts_in.clone(),
            };
            match store {
                Some(store) => base.open_trusting(Some(store), Depth::Head, context),
                None => base.open_at(Depth::Head, context),
            }
        });
        opened.collect()
    }
}

impl BundleArg {
    /// Opens the bundle, verifies its head, and hashes the parts if it lies
    /// in some.
    ///
    /// # Errors
    ///
    /// No bundle or several, no trusted key, a part that is missing or wrong,
    /// or a bundle that is not what a trusted key signed.
    pub(super) fn open(&self, context: &Context) -> Result<Bundle, Failure> {
        self.open_at(Depth::Bytes, context)
    }

    /// The same to any depth.
    pub(super) fn open_at(&self, depth: Depth, context: &Context) -> Result<Bundle, Failure> {
        if !self.insecure_skip_signature {
            let store = context.trust_store()?;
            return self.open_trusting(Some(&store), depth, context);
        }
        let bundle = self.open_trusting(None, depth, context)?;
        notice(
            context.reporter.as_ref(),
            Level::Warning,
            "bundle.signature-skipped",
            "nobody vouches for this bundle: its signature was not checked",
        );
        Ok(bundle)
    }

    /// The same with the keys of `store`; without one, whoever signed it.
    pub(super) fn open_trusting(
        &self,
        store: Option<&TrustStore>,
        depth: Depth,
        context: &Context,
    ) -> Result<Bundle, Failure> {
        let path = self.path()?;
        if let Some(list) = list_of(&path, &self.parts_in)? {
            // A part that was named says where to look for others.
            let mut dirs = vec![directory(&path)];
            dirs.extend_from_slice(&self.parts_in);
            let split = Split { list, dirs, store };
            return split.open(depth, context);
        }
        let untrusted = UntrustedBundle::open(&path)?;
        let beside = countersign::find(&path, &self.parts_in)?;
        Ok(match store {
            Some(store) => untrusted.countersigned(beside).verify(store)?,
            None => untrusted.trust_blindly()?,
        })
    }

    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.bundle {
            return Ok(path.clone());
        }
        let beside = std::env::current_exe()
            .ok()
            .and_then(|exe| exe.parent().map(Path::to_owned));
        let mut found = Vec::new();
        for dir in [Some(PathBuf::from(".")), beside].into_iter().flatten() {
            found.extend(bundles_in(&dir)?);
            if !found.is_empty() {
                break;
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(
                Failure::new(Kind::Usage, "no bundle was named and none lies here")
                    .hint("name it: `lfctl install --offline BUNDLE`"),
            ),
            several => Err(Failure::new(
                Kind::Usage,
                format!("{} bundles lie here; which one?", several.len()),
            )
            .hint(format!(
                "name one of {}",
                several
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }
}

fn bundles_in(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_bundle = |extension| extension == "tar" || extension == EXTENSION;
        if path.extension().is_some_and(is_bundle) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
