//! `lfctl inventory`: what this host has, for those who make its next bundle.

use std::path::PathBuf;

use super::Context;
use super::failure::{Failure, Kind};
use crate::bundle::delta::{HeldImage, Inventory, SCHEMA};
use crate::bundle::manifest::Platform;
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, EngineFacts, EngineImage, LoadRoute};
use crate::report::event::{Level, notice};
use crate::sys::fs::write_atomically;
use crate::sys::host::Host;
use crate::sys::versioned::Writer;
use crate::transfer::load::own_images;

/// Arguments of `lfctl inventory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write it to FILE instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let engine = Docker::connect(&context.engine).await?;
        let facts = engine.facts().await?;
        let images = own_images(&engine).await?;
        let inventory = inventory(&facts, images)?;
        let mut text = serde_json::to_string_pretty(&inventory).map_err(|error| {
            Failure::new(Kind::Bug, "cannot write the inventory").cause(error.to_string())
        })?;
        let Some(file) = &self.output else {
            return context.print(&inventory, &text);
        };
        text.push('\n');
        write_atomically(file, text.as_bytes(), 0o644)?;
        notice(
            context.reporter.as_ref(),
            Level::Info,
            "inventory.written",
            format!(
                "{} images; make the next bundle with `--base {}`",
                inventory.images.len(),
                file.display()
            ),
        );
        Ok(())
    }
}

fn inventory(facts: &EngineFacts, images: Vec<EngineImage>) -> Result<Inventory, Failure> {
    let mut held = Vec::with_capacity(images.len());
    for mut image in images {
        image.tags.sort();
        let unusable = |error| {
            Failure::new(Kind::Engine, format!("image `{}` has no digests", image.id))
                .cause(format!("{error}"))
        };
        held.push(HeldImage {
            id: image.id.parse().map_err(unusable)?,
            diff_ids: image
                .diff_ids
                .iter()
                .map(|id| id.parse())
                .collect::<Result<_, _>>()
                .map_err(unusable)?,
            tags: image.tags,
        });
    }
    held.sort_by_key(|image| image.id);
    Ok(Inventory {
        schema: SCHEMA,
        lfctl: Writer,
        host: Host::read().map_or_else(|_| "unknown".to_owned(), |host| host.hostname),
        platform: Platform {
            os: facts.os.clone(),
            architecture: facts.architecture.clone(),
        },
        whole_images: LoadRoute::of(facts) == LoadRoute::Stored,
        images: held,
    })
}
