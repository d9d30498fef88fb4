//! The systemd units that lfctl wrote for an appliance.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Appliance, ApplianceError};
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, Format, Malformed, Text, VERSION, Versioned};

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    lfctl: String,
    files: Vec<PathBuf>,
}

impl Versioned for Document {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = 1;

    fn from_text(text: Text<'_>, _schema: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl Appliance {
    fn units_path(&self) -> PathBuf {
        self.dir().join("units.json")
    }

    /// The unit files that were written, in their order.
    ///
    /// # Errors
    ///
    /// The record cannot be read.
    pub fn units(&self) -> Result<Vec<PathBuf>, ApplianceError> {
        let document: Option<Document> = versioned::load(&self.units_path())?;
        Ok(document.map(|one| one.files).unwrap_or_default())
    }

    /// Remembers unit files that are about to be written.
    ///
    /// # Errors
    ///
    /// The record cannot be read or written.
    pub fn add_units(
        &self,
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(), ApplianceError> {
        let mut all = self.units()?;
        all.extend(files);
        all.sort();
        all.dedup();
        self.write_units(all)
    }

    /// Forgets all but these unit files.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn write_units(&self, files: Vec<PathBuf>) -> Result<(), ApplianceError> {
        let document = Document {
            schema: Document::SCHEMA,
            lfctl: VERSION.to_owned(),
            files,
        };
        let text = serde_json::to_vec_pretty(&document).map_err(io::Error::other)?;
        Ok(write_atomically(&self.units_path(), &text, 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sys::paths::Paths;

    #[test]
    fn what_was_written_is_remembered_once() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        assert!(appliance.units().unwrap().is_empty());
        for names in [["/b", "/a"], ["/c", "/a"]] {
            appliance.add_units(names.map(PathBuf::from)).unwrap();
        }
        assert_eq!(
            appliance.units().unwrap(),
            ["/a", "/b", "/c"].map(Path::new)
        );
    }
}
