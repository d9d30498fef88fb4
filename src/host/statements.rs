//! `statements.json`: the newest statement about keys that this host applied of
//! each signer.
//!
//! An old statement never stops being signed. What it revokes is revoked all
//! the same; a key that it introduces is not trusted once a later one of the
//! same signer was here. Invariant: a counter never falls here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::sign::KeyId;
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, DocumentError, Format, Malformed, Text, Versioned, Writer};

/// Version of the file that this lfctl writes, and the newest it reads.
const SCHEMA: u32 = 1;

/// What this host has applied of each signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statements {
    schema: u32,
    #[serde(default)]
    lfctl: Writer,
    #[serde(rename = "signers")]
    by_signer: BTreeMap<KeyId, Applied>,
}

/// The newest statement of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub counter: u64,
    /// Digest of its bytes.
    pub statement: Digest,
}

/// How a statement stands to those that were here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The newest, or the same again.
    Newest,
    /// Another one with the same counter was here.
    Twin(Applied),
    /// A later one was here.
    Older(Applied),
}

impl Versioned for Statements {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl Statements {
    /// Reads the file; one that does not exist knows nothing.
    ///
    /// # Errors
    ///
    /// The file is damaged, of a newer lfctl, or cannot be read.
    pub fn load(path: &Path) -> Result<Self, DocumentError> {
        Ok(versioned::load(path)?.unwrap_or_else(|| Self {
            schema: SCHEMA,
            lfctl: Writer,
            by_signer: BTreeMap::new(),
        }))
    }

    /// Compares a statement with the newest of its signer.
    pub fn standing(&self, signer: KeyId, this: Applied) -> Standing {
        match self.by_signer.get(&signer) {
            Some(newest) if newest.counter > this.counter => Standing::Older(*newest),
            Some(newest) if newest.counter == this.counter && *newest != this => {
                Standing::Twin(*newest)
            }
            _ => Standing::Newest,
        }
    }

    /// Writes down that a statement is applied, unless a later one was.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn record(mut self, path: &Path, signer: KeyId, this: Applied) -> io::Result<()> {
        let newest = self.by_signer.get(&signer);
        if newest.is_some_and(|newest| newest.counter >= this.counter) {
            return Ok(());
        }
        self.by_signer.insert(signer, this);
        let text = serde_json::to_string_pretty(&self)? + "\n";
        write_atomically(path, text.as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_compared_with_those_of_its_signer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("statements.json");
        let [signer, other]: [KeyId; 2] = ["01", "02"].map(|id| id.parse().unwrap());
        let this = |counter, bytes: &[u8]| Applied {
            counter,
            statement: Digest::of(bytes),
        };
        let load = || Statements::load(&path).unwrap();
        assert_eq!(load().standing(signer, this(0, b"a")), Standing::Newest);
        load().record(&path, signer, this(5, b"a")).unwrap();
        load().record(&path, signer, this(3, b"c")).unwrap();
        let newest = this(5, b"a");
        for (by, what, standing) in [
            (signer, this(5, b"a"), Standing::Newest),
            (signer, this(6, b"b"), Standing::Newest),
            (signer, this(5, b"b"), Standing::Twin(newest)),
            (signer, this(4, b"a"), Standing::Older(newest)),
            (other, this(4, b"a"), Standing::Newest),
        ] {
            assert_eq!(load().standing(by, what), standing);
        }
    }
}
