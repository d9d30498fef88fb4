//! The snapshots of a repository.

use jiff::Zoned;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{FileType, TreeId};
use serde::Serialize;

use super::Repository;
use super::error::{RepositoryError, Result};

/// Name of the document in a snapshot that says what it holds.
pub(super) const MANIFEST: &str = "manifest.json";

/// The name of a snapshot: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SnapshotId(pub(super) String);

impl std::fmt::Display for SnapshotId {
    /// The first 8 digits, as `restic snapshots` shows them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl SnapshotId {
    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// When it was begun.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub time: Zoned,
    /// The host that made it.
    pub host: String,
    pub tags: Vec<String>,
    /// Bytes of all files, if the program that made it wrote that down.
    pub bytes: Option<u64>,
    /// Bytes that it added, before compression.
    pub added: Option<u64>,
    #[serde(skip)]
    pub(super) tree: TreeId,
}

fn as_text<S: serde::Serializer>(time: &Zoned, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.timestamp())
}

impl From<SnapshotFile> for Snapshot {
    fn from(file: SnapshotFile) -> Self {
        Self {
            id: SnapshotId(file.id.to_hex().to_string()),
            time: file.time,
            host: file.hostname,
            tags: file.tags.iter().map(ToString::to_string).collect(),
            bytes: file.summary.as_ref().map(|it| it.total_bytes_processed),
            added: file.summary.as_ref().map(|it| it.data_added),
            tree: file.tree,
        }
    }
}

impl Repository {
    /// All snapshots, oldest first.
    ///
    /// # Errors
    ///
    /// The directory or a snapshot cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        Ok(self.snapshot_files()?.into_iter().map(Into::into).collect())
    }

    /// The snapshot that `name` stands for: its id, the beginning of it, or
    /// `latest`.
    ///
    /// # Errors
    ///
    /// There is none or more than one, or as [`Repository::snapshots`].
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let mut snapshots = self.snapshots()?;
        let missing = || RepositoryError::NoSnapshot(name.to_owned());
        if name == "latest" {
            return snapshots.pop().ok_or_else(missing);
        }
        let mut matching = snapshots
            .into_iter()
            .filter(|snapshot| !name.is_empty() && snapshot.id.0.starts_with(name));
        let found = matching.next().ok_or_else(missing)?;
        match matching.next() {
            None => Ok(found),
            Some(_) => Err(RepositoryError::AmbiguousSnapshot(name.to_owned())),
        }
    }

    pub(super) fn delete_snapshot_file(&self, snapshot: &Snapshot) -> Result<()> {
        let id = snapshot
            .id
            .0
            .parse()
            .map_err(|_| RepositoryError::NoSnapshot(snapshot.id.0.clone()))?;
        self.directory
            .delete(&self.directory.file(FileType::Snapshot, &id))
    }

    pub(super) fn snapshot_files(&self) -> Result<Vec<SnapshotFile>> {
        let mut files = Vec::new();
        for (id, _) in self.directory.list_files(FileType::Snapshot)? {
            let path = self.directory.file(FileType::Snapshot, &id);
            let sealed = self.directory.read(&path)?;
            let mut file: SnapshotFile = self
                .cipher
                .open_file(&sealed)
                .and_then(|plain| serde_json::from_slice(&plain).ok())
                .ok_or_else(|| RepositoryError::Damaged {
                    path,
                    what: "it is not a snapshot of this repository".to_owned(),
                })?;
            file.id = id.into();
            files.push(file);
        }
        files.sort_by(|one, other| one.time.cmp(&other.time));
        Ok(files)
    }
}
