//! `lfctl verify`: is this what was signed, and does it run?

use comfy_table::{Table, TableStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::args::NameArg;
use super::bundle::VerifyArgs;
use super::failure::{Failure, Kind};
use super::open::Depth;
use super::status::word;
use super::{Context, appliance_engine};
use crate::appliance::Appliance;
use crate::appliance::state::State;
use crate::bundle::manifest::Release;
use crate::bundle::open::{KeptHead, OpenError};
use crate::engine::ContainerEngine;
use crate::engine::docker::Docker;
use crate::facts::running::{Comparison, compare};
use crate::oci::archive::Archive;
use crate::oci::digest::Digest;
use crate::sign::KeyId;

/// Arguments of `lfctl verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    verify: VerifyArgs,
    /// Compare what the engine holds and runs now with the bundle, or without BUNDLE with what was
    /// kept of it at install
    #[arg(long, conflicts_with = "receipt")]
    running: bool,
    #[command(flatten)]
    name: NameArg,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
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
        let appliance = self.name.appliance(context)?;
        let state = appliance.state()?;
        let signed = self.signed(context, &appliance, state.as_ref())?;
        let engine = Docker::connect(&context.engine).await?;
        if let Some(state) = &state {
            appliance_engine::check(appliance.name(), state, &engine).await?;
        }
        let report = report(&engine, appliance.name(), state, signed).await?;
        context.print(&report, &text(&report))?;
        if report.differences > 0 {
            let message = format!("{} differences from the bundle", report.differences);
            return Err(Failure::new(Kind::Blocked, message).already_shown());
        }
        Ok(())
    }

    /// What was signed: the bundle that is named, or else the head that was
    /// kept when the release was installed.
    fn signed(
        &self,
        context: &Context,
        appliance: &Appliance,
        state: Option<&State>,
    ) -> Result<KeptHead, Failure> {
        let which = &self.verify.bundle;
        let current = state.map(|state| &state.current);
        let kept = current.map(|current| appliance.head_path(current));
        if !which.is_named()
            && let (Some(kept), Some(current)) = (kept.filter(|path| path.exists()), current)
        {
            let archive = Archive::open(&kept).map_err(OpenError::from)?;
            // What was installed without a signature has none to check.
            let store = match current.key {
                Some(_) => which.signers(context)?,
                None => None,
            };
            let head = KeptHead::open(&archive, store.as_ref())?;
            if head.digest == current.bundle {
                return Ok(head);
            }
            let message = format!("{} is not of the bundle that was installed", kept.display());
            return Err(Failure::new(Kind::NotTrusted, message)
                .hint("name the bundle: `lfctl verify --running BUNDLE`"));
        }
        let bundle = which.open(Depth::Head, context)?;
        Ok(KeptHead {
            manifest: bundle.manifest().clone(),
            stack: bundle.stack().clone(),
            digest: bundle.digest(),
            key_id: bundle.key_id(),
        })
    }
}

async fn report(
    engine: &Docker,
    name: &str,
    state: Option<State>,
    signed: KeptHead,
) -> Result<Report, Failure> {
    let facts = engine.facts().await?;
    let recorded = state.as_ref().map(|state| state.current.images.clone());
    let (manifest, stack) = (&signed.manifest, &signed.stack);
    let recorded = recorded.unwrap_or_default();
    let comparison = compare(engine, &facts, name, manifest, stack, &recorded).await?;
    Ok(Report {
        appliance: name.to_owned(),
        release: signed.manifest.release,
        bundle: signed.digest,
        key_id: signed.key_id,
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
        table.add_row([image.reference.clone(), verdict, image.id.clone()]);
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
