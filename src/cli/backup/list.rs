//! `lfctl backup list`: the snapshots of a repository.

use std::fmt::Write as _;

use indicatif::HumanBytes;
use jiff::Timestamp;
use serde::Serialize;

use super::repository::RepositoryArg;
use crate::change::backup::{Contents, Manifest};
use crate::cli::Context;
use crate::cli::args::NameArg;
use crate::cli::failure::Failure;
use crate::repository::{Snapshot, SnapshotReader};

/// Arguments of `lfctl backup list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    repository: RepositoryArg,
    #[command(flatten)]
    name: NameArg,
}

/// A snapshot as programs read it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Row {
    /// Its id.
    snapshot: String,
    /// When it was begun.
    #[cfg_attr(test, schemars(with = "String"))]
    at: Timestamp,
    /// The appliance; none where lfctl did not make it.
    appliance: Option<String>,
    /// Name and version of the release that ran.
    release: Option<String>,
    /// Rows of both databases.
    rows: u64,
    /// Objects of the blob store.
    objects: u64,
    /// Bytes of all files.
    bytes: Option<u64>,
    /// Bytes that it added, before compression.
    added: Option<u64>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let repository = self.repository.open(&appliance)?;
        let reader = repository.reader()?;
        let mut rows = Vec::new();
        for snapshot in repository.snapshots()? {
            rows.push(row(&reader, &snapshot)?);
        }
        context.print(&rows, &text(&rows))
    }
}

fn row(reader: &SnapshotReader, snapshot: &Snapshot) -> Result<Row, Failure> {
    let manifest = Manifest::read(reader, snapshot)?;
    let stores = manifest.as_ref().map(|one| &one.stores);
    Ok(Row {
        snapshot: snapshot.id.as_str().to_owned(),
        at: snapshot.time.timestamp(),
        appliance: manifest.as_ref().map(|one| one.appliance.clone()),
        release: manifest
            .as_ref()
            .map(|one| one.generation.release.to_string()),
        rows: stores.map_or(0, Contents::rows),
        objects: stores.map_or(0, Contents::objects),
        bytes: snapshot.bytes,
        added: snapshot.added,
    })
}

fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        text.push_str("no snapshots\n");
    }
    for row in rows {
        let bytes = |bytes: Option<u64>| {
            bytes.map_or_else(|| "?".to_owned(), |bytes| HumanBytes(bytes).to_string())
        };
        let _ = writeln!(
            text,
            "{}  {:.0}  {} ({})  {} rows, {} objects, {}, {} new",
            row.snapshot.get(..8).unwrap_or(&row.snapshot),
            row.at,
            row.appliance.as_deref().unwrap_or("not of lfctl"),
            row.release.as_deref().unwrap_or("unknown"),
            row.rows,
            row.objects,
            bytes(row.bytes),
            bytes(row.added)
        );
    }
    text
}
