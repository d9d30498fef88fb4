//! What the host remembers of backups: the last one, the last drill, and the
//! password of the repository, which is kept apart from it.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Appliance, ApplianceError};
use crate::repository::Password;
use crate::stack::release::Release;
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, Format, Malformed, Text, VERSION, Versioned};

/// A backup that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LastBackup {
    /// When its cut was begun.
    pub at: Timestamp,
    /// Directory of the repository.
    pub repository: PathBuf,
    /// Id of the snapshot.
    pub snapshot: String,
    /// The release that ran.
    pub release: Release,
    /// The key of the repository that the password opens.
    #[serde(default)]
    pub key: Option<String>,
}

/// A drill that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastDrill {
    /// When it ended.
    pub at: Timestamp,
    /// Id of the snapshot that was restored.
    pub snapshot: String,
}

/// A backup or a drill that failed, after which none went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedRun {
    /// When it ended.
    pub at: Timestamp,
    pub why: String,
}

/// What the host remembers of backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Records {
    /// The last backup.
    #[serde(default)]
    pub backup: Option<LastBackup>,
    /// The last drill.
    #[serde(default)]
    pub drill: Option<LastDrill>,
    /// Why the newest backup failed, if it did.
    #[serde(default)]
    pub failed_backup: Option<FailedRun>,
    /// Why the newest drill failed, if it did.
    #[serde(default)]
    pub failed_drill: Option<FailedRun>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    lfctl: String,
    #[serde(flatten)]
    records: Records,
}

impl Versioned for Document {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = 1;

    fn from_text(text: Text<'_>, _schema: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl FailedRun {
    /// A run that failed now.
    pub fn now(why: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            why: why.into(),
        }
    }
}

impl Records {
    /// A backup went well.
    pub fn backed_up(&mut self, backup: LastBackup) {
        self.backup = Some(backup);
        self.failed_backup = None;
    }

    /// A drill went well.
    pub fn drilled(&mut self, snapshot: &str) {
        self.drill = Some(LastDrill {
            at: Timestamp::now(),
            snapshot: snapshot.to_owned(),
        });
        self.failed_drill = None;
    }

    /// What is remembered; nothing where there never was a backup.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn load(appliance: &Appliance) -> Result<Self, ApplianceError> {
        let document: Option<Document> = versioned::load(&file(appliance))?;
        Ok(document
            .map(|document| document.records)
            .unwrap_or_default())
    }

    /// Writes it down.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, appliance: &Appliance) -> Result<(), ApplianceError> {
        let document = Document {
            schema: Document::SCHEMA,
            lfctl: VERSION.to_owned(),
            records: self.clone(),
        };
        let text = serde_json::to_vec_pretty(&document).map_err(io::Error::other)?;
        Ok(write_atomically(&file(appliance), &text, 0o600)?)
    }
}

fn file(appliance: &Appliance) -> PathBuf {
    appliance.dir().join("backups.json")
}

impl Appliance {
    /// Where the password of its repository lies.
    pub fn backup_password_path(&self) -> PathBuf {
        self.dir().join("backup-password")
    }

    /// The password of its repository, if this host has one.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn backup_password(&self) -> Result<Option<Password>, ApplianceError> {
        let text = super::read_optional(&self.backup_password_path())?;
        Ok(text.map(|text| Password::new(text.trim())))
    }

    /// Keeps the password of its repository, readable by root alone.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn keep_backup_password(&self, password: &Password) -> Result<(), ApplianceError> {
        let line = zeroize::Zeroizing::new(format!("{}\n", password.expose()));
        let path = self.backup_password_path();
        Ok(write_atomically(&path, line.as_bytes(), 0o600)?)
    }
}
