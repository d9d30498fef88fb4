//! `lfctl bundle load`: the images of a bundle into the engine.

use std::pin::pin;

use indicatif::HumanBytes;
use serde::Serialize;

use crate::bundle::open::Bundle;
use crate::change::release;
use crate::check;
use crate::cli::Context;
use crate::cli::admission::{AdmissionArgs, signer};
use crate::cli::failure::{Failure, Kind};
use crate::cli::findings::refuse_if_blocked;
use crate::cli::open::{BaseArg, Depth, SignedBundleArgs};
use crate::cli::signal::unless_asked_to_stop;
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, EngineFacts, LoadRoute};
use crate::facts::existing::Existing;
use crate::facts::{self, Change, DiskNeed, Subject, image_dir};
use crate::host::HostLock;
use crate::host::audit::NewEntry;
use crate::oci::digest::Digest;
use crate::sys::disk::Disk;
use crate::transfer::load::{LoadError, Loaded, chains, load_images, missing_layers};
use crate::transfer::plan as images;

/// Arguments of `lfctl bundle load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: SignedBundleArgs,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    base: BaseArg,
    /// Show what would be loaded, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is printed in the end.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LoadReport<'a> {
    bundle: Digest,
    route: LoadRoute,
    sent_bytes: u64,
    images: &'a [Loaded],
}

/// What `--dry-run` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Plan {
    bundle: Digest,
    route: LoadRoute,
    /// References of the images that the engine does not hold.
    missing: Vec<String>,
    disk: DiskNeed,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let bundle = self.bundle.open(Depth::Bytes, context)?;
        let mut exceptions = self.admission.check(context, &bundle, None)?;
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let plan = plan(&bundle, &engine, &facts).await?;
        let bases = self.bundle.open_bases(&self.base, context)?;
        let sources = images::sources(&bundle, &bases)?;
        let missing = missing_layers(&engine, &facts, &sources).await?;
        let change = Change {
            is_upgrade: false,
            cold: None,
            manifest: bundle.manifest().clone(),
            bundle: bundle.digest(),
            recorded: None,
            existing: Existing::default(),
            needs: vec![plan.disk.clone()],
            port: None,
            missing,
        };
        let state_dir = context.paths.appliances().to_owned();
        let subject = Subject::of_bundle(bundle.manifest(), bundle.stack(), state_dir);
        let seen = facts::before(&facts, subject, change).await;
        let examination = check::examine(&seen, &check::before_load());
        if self.dry_run {
            context.print_event("plan", &plan, &plan.to_string())?;
            return refuse_if_blocked(context, &examination);
        }
        refuse_if_blocked(context, &examination)?;
        exceptions.add_named_keys(&self.bundle.named_keys()?);
        exceptions.write_down(context, &bundle)?;
        let load = load_images(&engine, &facts, sources, context.reporter.as_ref());
        let loaded = load_audited(context, &bundle, load).await?;
        let report = LoadReport {
            bundle: bundle.digest(),
            route: plan.route,
            sent_bytes: loaded.iter().map(|image| image.sent_bytes).sum(),
            images: &loaded,
        };
        context.print_event("loaded", &report, &report.to_string())
    }
}

/// Loads, remembers the release, and writes both ends into the log of the host.
async fn load_audited(
    context: &Context,
    bundle: &Bundle,
    load: impl Future<Output = Result<Vec<Loaded>, LoadError>>,
) -> Result<Vec<Loaded>, Failure> {
    let audit = |result: String| -> Result<(), Failure> {
        let host = HostLock::lock(&context.paths)?;
        Ok(host.audit(NewEntry {
            command: "bundle load".to_owned(),
            bundle: Some(bundle.digest()),
            key: Some(signer(bundle)),
            result,
        })?)
    };
    // Before anything changes: a run that is killed must show too.
    audit("begun".to_owned())?;
    let load = pin!(load);
    let result = match unless_asked_to_stop(load).await {
        Some(loaded) => loaded.map_err(Failure::from),
        None => Err(
            Failure::new(Kind::Interrupted, "interrupted: not every image is loaded")
                .hint("run the same command again; it continues where this one stopped"),
        ),
    };
    let result = result.and_then(|loaded| {
        release::record(&context.paths, context.reporter.as_ref(), bundle)?;
        Ok(loaded)
    });
    let ended = result
        .as_ref()
        .map_or_else(Failure::first_line, |_| "done".to_owned());
    audit(ended)?;
    result
}

async fn plan<E: ContainerEngine>(
    bundle: &Bundle,
    engine: &E,
    facts: &EngineFacts,
) -> Result<Plan, Failure> {
    let route = LoadRoute::of(facts);
    let mut missing = Vec::new();
    for (key, image) in images::expected(bundle, facts) {
        if engine.image(&image.id).await?.is_none() {
            missing.extend(bundle.manifest().images.get(&key));
        }
    }
    let dir = image_dir(facts);
    let disk = Disk::of(&dir).ok();
    let held = chains(engine, route).await?;
    let bytes = images::bytes_needed(missing.iter().copied(), facts, &held);
    let mut references: Vec<_> = missing
        .iter()
        .map(|image| image.reference.clone())
        .collect();
    references.sort();
    references.dedup();
    Ok(Plan {
        bundle: bundle.digest(),
        route,
        missing: references,
        disk: DiskNeed::on(disk.as_ref(), &dir.display().to_string(), "loading", bytes),
    })
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for reference in &self.missing {
            writeln!(f, "  do   load image {reference}")?;
        }
        let free = self
            .disk
            .free
            .map_or("unknown".to_owned(), |free| HumanBytes(free).to_string());
        let need = HumanBytes(self.disk.bytes);
        write!(f, "{}: {need} for loading, {free} free", self.disk.path)
    }
}

impl std::fmt::Display for LoadReport<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for image in self.images {
            writeln!(f, "{}  {}", image.id, image.reference)?;
        }
        let there = self.images.iter().filter(|image| image.already_present);
        write!(
            f,
            "{} images, {} were there; {} sent",
            self.images.len(),
            there.count(),
            HumanBytes(self.sent_bytes)
        )
    }
}
