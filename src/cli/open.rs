//! The one way to open a bundle: where it lies, in one file or in parts, and
//! whose signature counts.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Context;
use super::failure::{Failure, Kind};
use super::prompt;
use crate::bundle::countersign;
use crate::bundle::open::{Bundle, UntrustedBundle};
use crate::bundle::parts::{EXTENSION, PartError, PartList, Parts, directory, list_of};
use crate::host::trust::{KEY_LIMIT, TrustPolicy, TrustStore};
use crate::report::event::{Level, notice};
use crate::sign::{Signature, TrustedKey};
use crate::sys::fs::read_text;

/// How much of the parts is looked at when a bundle is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Names and sizes, and what is read of them.
    Head,
    /// Every byte, so that a wrong part is named before anything is done.
    Bytes,
}

/// Which bundle, and how far it is trusted.
#[derive(Debug, clap::Args)]
pub struct BundleArg {
    /// The bundle; may be left out when exactly one `*.tar` or `*.parts` is here or beside lfctl
    #[arg(value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Accept the bundle without checking who signed it; the audit log records it
    #[arg(long)]
    pub insecure_skip_signature: bool,
    /// Look here too for parts of the bundle and for its signatures; may be repeated
    #[arg(long, value_name = "DIR")]
    pub parts_in: Vec<PathBuf>,
}

/// Bundles that have what a delta bundle leaves out.
#[derive(Debug, clap::Args)]
pub struct BaseArg {
    /// Bundle that has the layers which a delta bundle leaves out and the engine lacks; may be
    /// repeated
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
            "the signature of this bundle was not checked: it may come from anybody",
        );
        Ok(bundle)
    }

    /// The same with the keys of `store`; without one, by any signer.
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
        let beside = countersign::find(&path, &self.parts_in, store);
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
                Failure::new(Kind::Usage, "no bundle was named and there is none here")
                    .hint("add its path to the command, or run lfctl in its directory"),
            ),
            several => Err(Failure::new(
                Kind::Usage,
                format!("there are {} bundles here; which one?", several.len()),
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

/// A bundle and the keys that may have signed it.
#[derive(Debug, clap::Args)]
pub struct SignedBundleArgs {
    #[command(flatten)]
    bundle: BundleArg,
    #[command(flatten)]
    trust: TrustArg,
}

/// The keys that may have signed a bundle.
#[derive(Debug, clap::Args)]
pub struct TrustArg {
    /// Trust this public key instead of the keys of this host; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_skip_signature")]
    pub(super) trusted_key: Vec<PathBuf>,
}

impl SignedBundleArgs {
    /// Opens the bundles that have what this one leaves out.
    pub(super) fn open_bases(
        &self,
        base: &BaseArg,
        context: &Context,
    ) -> Result<Vec<Bundle>, Failure> {
        base.open(&self.bundle, self.trust.store(context)?.as_ref(), context)
    }

    /// Opens it for one more signature: those that are still missing are not
    /// asked for.
    pub(super) fn open_to_sign(&self, depth: Depth, context: &Context) -> Result<Bundle, Failure> {
        if self.bundle.insecure_skip_signature {
            return Err(Failure::new(
                Kind::Usage,
                "cannot sign a bundle with `--insecure-skip-signature`",
            )
            .hint("trust the maker's key, or name it with `--trusted-key FILE`"));
        }
        let store = self.signers(context)?;
        self.bundle.open_trusting(store.as_ref(), depth, context)
    }

    /// The keys that were named instead of the host's.
    pub(super) fn named_keys(&self) -> Result<Vec<TrustedKey>, Failure> {
        self.trust.keys()
    }

    /// Whether a bundle was named, instead of being looked for.
    pub(super) fn is_named(&self) -> bool {
        self.bundle.bundle.is_some()
    }

    /// Whose signature under a single document counts; none with
    /// `--insecure-skip-signature`. How many have to sign was judged when the
    /// release was installed.
    pub(super) fn signers(&self, context: &Context) -> Result<Option<TrustStore>, Failure> {
        if self.bundle.insecure_skip_signature {
            return Ok(None);
        }
        let store = match self.trust.store(context)? {
            Some(store) => store,
            None => context.trust_store()?,
        };
        Ok(Some(store.under(TrustPolicy::default(), PathBuf::new())))
    }

    pub(super) fn open(&self, depth: Depth, context: &Context) -> Result<Bundle, Failure> {
        match self.trust.store(context)? {
            Some(store) => {
                let opened = self.bundle.open_trusting(Some(&store), depth, context);
                opened.map_err(instead_of_the_hosts_keys)
            }
            None => self.bundle.open_at(depth, context),
        }
    }
}

/// A key that the host is told to trust does not count beside
/// `--trusted-key`.
fn instead_of_the_hosts_keys(failure: Failure) -> Failure {
    let mut hints = failure.report().hints.iter();
    if hints.any(|hint| hint.contains("`lfctl trust add FILE`")) {
        return failure.only_hint(
            "get the publisher's key another way than the bundle, and name it with \
             `--trusted-key FILE`; without the option, the keys of this host count",
        );
    }
    failure
}

impl TrustArg {
    /// The keys that were named, instead of the host's: for one run, under
    /// what the host revoked and asks for.
    pub(super) fn store(&self, context: &Context) -> Result<Option<TrustStore>, Failure> {
        if self.trusted_key.is_empty() {
            return Ok(None);
        }
        Ok(Some(context.trust_store()?.with_only(self.keys()?)))
    }

    /// The keys that were named.
    pub(super) fn keys(&self) -> Result<Vec<TrustedKey>, Failure> {
        self.trusted_key.iter().map(|file| read_key(file)).collect()
    }
}

/// The public key in a file that somebody named.
pub(super) fn read_key(file: &Path) -> Result<TrustedKey, Failure> {
    Ok(TrustedKey::parse(&read_text(file, KEY_LIMIT)?)?)
}

/// A bundle that lies in parts.
struct Split<'a> {
    list: PathBuf,
    /// Where parts may lie that are not beside the list.
    dirs: Vec<PathBuf>,
    /// Whose signature counts; anybody's without one.
    store: Option<&'a TrustStore>,
}

impl Split<'_> {
    /// Finds the parts, checks them, and opens the bundle in them.
    fn open(self, depth: Depth, context: &Context) -> Result<Bundle, Failure> {
        let reporter = context.reporter.as_ref();
        let (mut parts, signature) = self.find(context)?;
        if depth == Depth::Bytes {
            parts.check(self.store, reporter)?;
        }
        match self.bundle(&parts, signature.as_ref()) {
            Err(error) if depth == Depth::Head => {
                // A wrong part tells more than what it made of the bundle.
                parts.check(self.store, reporter)?;
                Err(error)
            }
            opened => opened,
        }
    }

    fn find(&self, context: &Context) -> Result<(Parts, Option<Signature>), Failure> {
        let (list, signature) = PartList::read(&self.list, self.store)?;
        let mut dirs = self.dirs.clone();
        loop {
            match Parts::find(list.clone(), &self.list, &dirs) {
                Err(PartError::Missing { names, .. }) if prompt::may_ask(context) => {
                    dirs.extend(prompt::for_parts(&names)?);
                }
                found => return Ok((found?, signature)),
            }
        }
    }

    fn bundle(&self, parts: &Parts, signature: Option<&Signature>) -> Result<Bundle, Failure> {
        let untrusted = UntrustedBundle::over(parts.archive()?)?;
        let beside = countersign::find(&self.list.with_extension(""), &self.dirs, self.store);
        let bundle = match self.store {
            Some(store) => untrusted.countersigned(beside).verify(store)?,
            None => untrusted.trust_blindly()?,
        };
        parts.belong_to(&bundle, signature)?;
        Ok(bundle)
    }
}
