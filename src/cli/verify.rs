//! `lfctl verify`: is this what was signed, and does it run?

use comfy_table::{Table, TableStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use super::args::NameArg;
use super::bundle::VerifyArgs;
use super::failure::{Failure, Kind};
use super::parts::Depth;
use super::status::word;
use crate::appliance::Appliance;
use crate::bundle::manifest::Release;
use crate::bundle::open::Bundle;
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::facts::running::{Comparison, compare};
use crate::oci::digest::Digest;
use crate::sign::KeyId;

/// Arguments of `lfctl verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    verify: VerifyArgs,
    /// Hold what the engine holds and runs now against the bundle, instead of reading all of it
    #[arg(long, conflicts_with = "receipt")]
    running: bool,
    #[command(flatten)]
    name: NameArg,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    appliance: String,
    release: Release,
    /// Digest of the bundle's `index.json`.
    bundle: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    /// The bundle that the appliance was installed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed_from: Option<Digest>,
    differences: usize,
    #[serde(flatten)]
    comparison: Comparison,
    compared_at: Timestamp,
    lfctl: &'static str,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if !self.running {
            return self.verify.run(context);
        }
        let bundle = self.verify.which.open(Depth::Head, context)?;
        let engine = Docker::connect(&context.engine).await?;
        let report = report(&engine, context, &self.name.name, &bundle).await?;
        context.print(&report, &text(&report))?;
        if report.differences > 0 {
            let message = format!("{} differences from the bundle", report.differences);
            return Err(Failure::new(Kind::Blocked, message).already_shown());
        }
        Ok(())
    }
}

async fn report(
    engine: &Docker,
    context: &Context,
    name: &str,
    bundle: &Bundle,
) -> Result<Report, Failure> {
    let facts = engine.facts().await?;
    let state = Appliance::named(&context.paths, name)?.state()?;
    let recorded = state.as_ref().map(|state| state.current.images.clone());
    let comparison = compare(
        engine,
        &facts,
        name,
        bundle.manifest(),
        bundle.stack(),
        &recorded.unwrap_or_default(),
    )
    .await?;
    Ok(Report {
        appliance: name.to_owned(),
        release: bundle.manifest().release.clone(),
        bundle: bundle.digest(),
        key_id: bundle.key_id(),
        installed_from: state.map(|state| state.current.bundle),
        differences: comparison.differences(),
        comparison,
        compared_at: Timestamp::now(),
        lfctl: env!("CARGO_PKG_VERSION"),
    })
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}: held against {} ({})\n",
        report.appliance, report.release, report.bundle
    );
    if report
        .installed_from
        .is_some_and(|from| from != report.bundle)
    {
        text.push_str("  it was installed from another bundle\n");
    }
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_header(["", "verdict", "image"]);
    let Comparison { images, services } = &report.comparison;
    for image in images {
        let verdict = word(&image.verdict);
        table.add_row([image.reference.clone(), verdict, image.config.to_string()]);
    }
    for service in services {
        let image = service.image.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([service.service.clone(), word(&service.verdict), image]);
    }
    let how = match report.differences {
        0 => "the engine holds and runs what the bundle says".to_owned(),
        differences => format!("{differences} differences from the bundle"),
    };
    format!("{text}{table}\n{how} ({})", report.compared_at)
}
