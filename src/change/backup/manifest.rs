//! What a snapshot says of what it holds.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::appliance::generation::Generation;
use crate::change::error::ChangeError;
use crate::change::stores::blobs::Volume;
use crate::change::stores::clickhouse::Table;
use crate::repository::{RepositoryError, Snapshot, SnapshotReader};
use crate::sys::versioned::{self, Format, Malformed, Text, VERSION, Versioned};

/// What a snapshot holds, as it was at the cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Name of the appliance.
    pub appliance: String,
    /// What ran: release, bundle, images.
    pub generation: Generation,
    /// When the cut was begun.
    pub at: Timestamp,
    /// Last migration of each schema, as the databases said.
    pub schemas: BTreeMap<String, String>,
    /// Short hashes of the secrets whose change loses data.
    pub fingerprints: BTreeMap<String, String>,
    /// What each store held.
    pub stores: Contents,
}

/// What the stores of an appliance hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Contents {
    /// Keys in Redis.
    pub keys: u64,
    /// Rows of Postgres by table.
    pub postgres: BTreeMap<String, u64>,
    /// Rows of `ClickHouse` by table.
    pub clickhouse: BTreeMap<String, u64>,
    /// Tables and views of `ClickHouse`.
    pub(in crate::change) tables: Vec<Table>,
    /// Objects by the first part of their keys.
    pub blobs: BTreeMap<String, Volume>,
}

impl Contents {
    /// Rows of both databases.
    pub fn rows(&self) -> u64 {
        self.postgres.values().chain(self.clickhouse.values()).sum()
    }

    /// Objects of the blob store.
    pub fn objects(&self) -> u64 {
        self.blobs.values().map(|volume| volume.objects).sum()
    }

    pub fn object_bytes(&self) -> u64 {
        self.blobs.values().map(|volume| volume.bytes).sum()
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    lfctl: String,
    #[serde(flatten)]
    manifest: Manifest,
}

impl Versioned for Document {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = 1;

    fn from_text(text: Text<'_>, _schema: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl Manifest {
    /// As it is kept in a snapshot.
    ///
    /// # Errors
    ///
    /// None that could be met.
    pub(super) fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let document = Document {
            schema: Document::SCHEMA,
            lfctl: VERSION.to_owned(),
            manifest: self.clone(),
        };
        serde_json::to_vec_pretty(&document).map_err(std::io::Error::other)
    }

    /// What a snapshot says of itself; `None` if lfctl did not make it.
    ///
    /// # Errors
    ///
    /// The snapshot cannot be read, or a newer lfctl made it.
    pub fn read(reader: &SnapshotReader, snapshot: &Snapshot) -> Result<Option<Self>, ChangeError> {
        let Some(bytes) = reader.manifest(snapshot)? else {
            return Ok(None);
        };
        let name = format!("manifest.json of snapshot {}", snapshot.id);
        let document: Document =
            versioned::parse(Path::new(&name), &bytes).map_err(|error| match error {
                error @ versioned::DocumentError::Newer { .. } => ChangeError::Document(error),
                error => RepositoryError::Format(error.to_string()).into(),
            })?;
        Ok(Some(document.manifest))
    }
}
