//! `lfctl bundle create`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;
use semver::Version;

use super::split;
use crate::bundle::create::{ImagesFrom, Options, create, kept};
use crate::bundle::delta::{Base, Inventory};
use crate::bundle::lock::{Lock, LockError, Locked};
use crate::bundle::next::{NextError, next};
use crate::bundle::parts::EXTENSION;
use crate::bundle::pins;
use crate::bundle::spec::{BundleSpec, SpecError};
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::open::{BundleArg, Depth, read_key};
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::cli::signal::{outlive_size_limit, unless_asked_to_stop};
use crate::engine::EngineTarget;
use crate::engine::docker::Docker;
use crate::host::trust::TrustStore;
use crate::oci::registry::{self, CertificateFile, Credentials, Mirror, RequestLimits};
use crate::report::event::{Level, notice};
use crate::sign::SecretKey;
use crate::sys::fs::{
    check_replaceable, directory, has_no_locks, read_optional, read_text, write_atomically,
};
use crate::sys::versioned::Versioned;

/// Bytes of the largest spec.
const SPEC_LIMIT: u64 = 1 << 20;

/// Arguments of `lfctl bundle create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to bundle, such as `bundles/langfuse-4.toml`
    spec: PathBuf,
    /// Bundle another version than the one in the spec: `version=4.17.0` replaces it everywhere
    #[arg(long, value_name = "version=VERSION", value_parser = version)]
    set: Option<Version>,
    /// Where the bundle goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Secret key that signs it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
    /// Take the images from this place instead of their registries: docker, podman, or `oci:DIR`,
    /// an OCI image layout
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["mirror", "plain_http", "ca"])]
    from: Option<From>,
    /// Ask ADDRESS, a host or a path on one such as `harbor.lan/proxy`, wherever a reference names
    /// REGISTRY; may be repeated
    #[arg(long, value_name = "REGISTRY=ADDRESS", value_parser = mirror)]
    mirror: Vec<Mirror>,
    /// Use HTTP without TLS for the mirrors, or for every registry where no mirror is named
    #[arg(long)]
    plain_http: bool,
    /// Trust the certificates in this PEM file too; may be repeated
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Platform of the images, such as `linux/arm64`; by default the first in the spec
    #[arg(long)]
    platform: Option<String>,
    /// Refuse an image that is not the one in the lock
    #[arg(long)]
    locked: bool,
    /// Leave out the list of packages
    #[arg(long)]
    no_sbom: bool,
    /// Leave out the layers of this older bundle, or of the host whose `lfctl inventory` this JSON
    /// file is
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Public key that signed the base; by default the key of this bundle
    #[arg(long, value_name = "FILE", requires = "base")]
    trusted_key: Option<PathBuf>,
    /// Cut the bundle into parts of SIZE, such as 650M; `4G` makes parts that FAT32 takes
    #[arg(long, value_name = "SIZE", value_parser = split::size)]
    split: Option<u64>,
    /// The lock; by default beside the spec
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

/// Where images are already.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Engine(EngineTarget),
    Layout(PathBuf),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("oci:")) {
            ("docker", _) => Ok(Self::Engine(EngineTarget::Docker)),
            ("podman", _) => Ok(Self::Engine(EngineTarget::Podman)),
            (_, Some(dir)) if !dir.is_empty() => Ok(Self::Layout(dir.into())),
            _ => Err("write docker, podman, or oci:DIR".to_owned()),
        }
    }
}

impl From {
    /// A socket that was named is meant, whichever engine listens there.
    async fn open(self, context: &Context) -> Result<ImagesFrom, Failure> {
        let target = match (self, &context.engine) {
            (Self::Layout(dir), _) => return Ok(ImagesFrom::Layout(dir)),
            (Self::Engine(_), EngineTarget::Socket(path)) => EngineTarget::Socket(path.clone()),
            (Self::Engine(target), _) => target,
        };
        Ok(ImagesFrom::Engine(Docker::connect(&target).await?))
    }
}

fn version(text: &str) -> Result<Version, String> {
    let version = text.strip_prefix("version=");
    let version = version.ok_or("write version=VERSION, such as version=4.17.0")?;
    version.parse().map_err(|error| format!("{error}"))
}

fn mirror(text: &str) -> Result<Mirror, String> {
    let (registry, address) = text
        .split_once('=')
        .ok_or("write REGISTRY=ADDRESS, such as docker.io=127.0.0.1:5000")?;
    Mirror::new(registry, address)
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        outlive_size_limit();
        let spec = self.spec(context)?;
        let key = read_secret_key(&self.key, &self.password)?;
        let lock_file = self.lock_file();
        let base = self.base(&key, context)?;
        let lock = self.lock(&lock_file)?;
        let from = match self.from {
            Some(from) => from.open(context).await?,
            None => ImagesFrom::Registries,
        };
        let options = Options {
            base,
            from,
            lock,
            locked: self.locked,
            platform: self.platform,
            registry: registry::Options {
                mirrors: self.mirror,
                plain_http: self.plain_http,
                credentials: Credentials::of_user(),
                authorities: certificates(&self.ca)?,
                limits: RequestLimits::default(),
            },
            created: None,
            sbom: !self.no_sbom,
            output: self.output,
            split: self.split,
        };
        let create = Box::pin(create(&spec, &options, &key, context.reporter.as_ref()));
        let created = unless_asked_to_stop(create)
            .await
            .ok_or_else(|| interrupted(&options))??;
        // The bundle is there, whatever fails from here on.
        let printed =
            context.print_event("created", &created.receipt, &created.receipt.to_string());
        if !options.locked {
            add_to_lock(&lock_file, created.platform, created.lock)?;
        }
        printed
    }

    fn read_spec(&self, context: &Context) -> Result<BundleSpec, Failure> {
        let text = read_text(&self.spec, SPEC_LIMIT)?;
        let wrong = |error: &SpecError| Failure::spec(&self.spec, error);
        let Some(version) = &self.set else {
            return BundleSpec::parse(&text).map_err(|error| wrong(&error));
        };
        let next = next(&text, version).map_err(|error| match error {
            NextError::Spec(error) => wrong(&error),
            error => Failure::from_error(Kind::Config, &error)
                .hint("write version and counter into the spec yourself"),
        })?;
        for edit in next.edits {
            notice(context.reporter.as_ref(), Level::Info, "create.set", edit);
        }
        Ok(next.spec)
    }

    /// The spec, if the bundle of it can be written.
    fn spec(&self, context: &Context) -> Result<BundleSpec, Failure> {
        if self.output.is_dir() {
            return Err(Failure::new(
                Kind::Usage,
                format!("`{}` is a directory", self.output.display()),
            )
            .hint("name the file that the bundle is to be: `-o DIR/NAME.tar`"));
        }
        let spec = self.read_spec(context)?;
        for text in pins::warnings(&spec.images, jiff::Zoned::now().date()) {
            notice(
                context.reporter.as_ref(),
                Level::Warning,
                "create.bad-pin",
                text,
            );
        }
        Ok(spec)
    }

    /// The lock, if it can be used and, without `--locked`, replaced.
    fn lock(&self, file: &Path) -> Result<Option<Lock>, Failure> {
        let lock = read_lock(file, self.locked)?;
        if !self.locked {
            // It is written when everything else is done.
            check_replaceable(file).map_err(|error| unlockable(file, error))?;
        }
        if self.locked && lock.is_none() {
            return Err(Failure::new(
                Kind::Config,
                format!("there is no lock `{}`", file.display()),
            )
            .hint("run the command without `--locked` to write one"));
        }
        Ok(lock)
    }

    fn base(&self, key: &SecretKey, context: &Context) -> Result<Option<Base>, Failure> {
        let Some(path) = &self.base else {
            return Ok(None);
        };
        if let Some(text) = inventory(path)? {
            return Ok(Some(Base::of_inventory(path, &text).map_err(|error| {
                Failure::remade(
                    error,
                    "write it again on the host: `lfctl inventory -o FILE`",
                )
            })?));
        }
        let trusted = match &self.trusted_key {
            Some(file) => read_key(file)?,
            None => key.public().clone(),
        };
        // What is left out is named by its digest: one signature will do.
        let store = TrustStore::of([trusted]);
        let bundle = BundleArg {
            bundle: Some(path.clone()),
            insecure_skip_signature: false,
            parts_in: Vec::new(),
        };
        let bundle = bundle.open_trusting(Some(&store), Depth::Head, context)?;
        Ok(Some(Base::of_bundle(bundle.manifest(), bundle.digest())))
    }

    fn lock_file(&self) -> PathBuf {
        self.lock
            .clone()
            .unwrap_or_else(|| Lock::path_beside(&self.spec))
    }
}

/// The text of an inventory, or the beginning of one that is too long; `None`
/// for a bundle, whose first byte is another.
fn inventory(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    // The list of the parts of a bundle is JSON as well.
    if path.extension().is_some_and(|end| end == EXTENSION) {
        return Ok(None);
    }
    let file = match fs::File::open(path) {
        // Only parts of it may be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    let mut limited = file.take(1);
    limited.read_to_end(&mut text)?;
    if text != b"{" {
        return Ok(None);
    }
    limited.set_limit(Inventory::LIMIT);
    limited.read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Says what stays of a run that was stopped.
fn interrupted(options: &Options) -> Failure {
    let failure = Failure::new(Kind::Interrupted, "interrupted: no bundle was made");
    let Some(partial) = kept(&options.output, options.split) else {
        return failure
            .hint("run the same command again: it starts from the beginning, since too little was done to be kept");
    };
    let partial = partial.display();
    let files = match options.split {
        Some(_) => format!("`{partial}` and the parts behind it"),
        None => format!("`{partial}`"),
    };
    failure.hint(format!(
        "run the same command again: it goes on with what is in {files}; to give up, remove what \
         is there"
    ))
}

fn unlockable(file: &Path, error: io::Error) -> Failure {
    Failure::from(error)
        .within(format!("lock `{}` cannot be written", file.display()))
        .hint("name another place with `--lock FILE`, or keep to a lock that is there: `--locked`")
}

/// Locks a platform; the others stay locked to what they were.
fn add_to_lock(file: &Path, platform: String, locked: Locked) -> Result<(), Failure> {
    // Another run may be about to write what it found for its own platform.
    let directory = fs::File::open(directory(file)?)?;
    match directory.file().lock() {
        Err(error) if !has_no_locks(&error) => return Err(unlockable(file, error)),
        _ => {}
    }
    let mut lock = read_lock(file, false)?.unwrap_or_default();
    lock.platforms.insert(platform, locked);
    write_atomically(file, lock.to_text()?.as_bytes(), 0o644)
        .map_err(|error| unlockable(file, error))
}

fn read_lock(file: &Path, locked: bool) -> Result<Option<Lock>, Failure> {
    let Some(text) = read_optional(file, Lock::LIMIT)? else {
        return Ok(None);
    };
    match Lock::parse(file, &text) {
        // It is written anew, and what it says of other platforms stays.
        Err(LockError::Checksum(_)) if !locked => Ok(Some(Lock::parse_edited(file, &text)?)),
        lock => Ok(Some(lock?)),
    }
}

fn certificates(files: &[PathBuf]) -> Result<Vec<CertificateFile>, Failure> {
    let read = |path: &PathBuf| {
        let (path, content) = (path.clone(), fs::read(path)?);
        Ok(CertificateFile { path, content })
    };
    let read = files.iter().map(read).collect::<io::Result<_>>();
    read.map_err(Failure::from)
}
