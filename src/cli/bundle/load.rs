//! `lfctl bundle load`: the images of a bundle into the engine.

use std::pin::pin;

use indicatif::HumanBytes;
use serde::Serialize;

use crate::bundle::open::Bundle;
use crate::change::release;
use crate::check;
use crate::cli::Context;
use crate::cli::admission::AdmissionArgs;
use crate::cli::failure::{Failure, Kind};
use crate::cli::findings::refuse_if_blocked;
use crate::cli::open::{BaseArg, Depth, SignedBundleArgs};
use crate::cli::signal::unless_asked_to_stop;
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, EngineFacts, LoadRoute};
use crate::facts::existing::Existing;
use crate::facts::{self, Change, DiskNeed, Subject, image_dir};
use crate::oci::digest::Digest;
use crate::sys::disk::Disk;
use crate::transfer::load::{Loaded, chains, load_images, missing_layers};
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
    /// Say what would be loaded, and change nothing
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
        let exceptions = self.admission.check(context, &bundle, None)?;
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
        exceptions.write_down(context, &bundle)?;
        let load = pin!(load_images(
            &engine,
            &facts,
            sources,
            context.reporter.as_ref()
        ));
        let loaded = unless_asked_to_stop(load).await.ok_or_else(|| {
            Failure::new(Kind::Interrupted, "interrupted: not every image is loaded")
                .hint("run the same command again; it continues where this one stopped")
        })??;
        release::record(&context.paths, context.reporter.as_ref(), &bundle)?;
        let report = LoadReport {
            bundle: bundle.digest(),
            route: plan.route,
            sent_bytes: loaded.iter().map(|image| image.sent_bytes).sum(),
            images: &loaded,
        };
        context.print_event("loaded", &report, &report.to_string())
    }
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
