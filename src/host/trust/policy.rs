//! How many holders of keys have to sign what a host takes.
//!
//! A holder is a person or a team, not a key: one with two keys still
//! signs as one. A key that nobody is said to hold has a holder of its own,
//! and a key that another one introduces goes to the holder of that one, so
//! that nobody can make up the second signature.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sign::{KeyId, SignError};
use crate::sys::fs::write_atomically;
use crate::sys::versioned::{self, Format, Malformed, Text, Versioned, Writer};

/// Version of the file that this lfctl writes and reads.
const SCHEMA: u32 = 1;

/// `trust-policy.toml` of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustPolicy {
    /// Format version, see [`SCHEMA`].
    schema: u32,
    #[serde(default)]
    lfctl: Writer,
    /// Holders that have to sign a bundle.
    signatures: usize,
    /// Keys by who holds them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holders: BTreeMap<String, BTreeSet<KeyId>>,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            lfctl: Writer,
            signatures: 1,
            holders: BTreeMap::new(),
        }
    }
}

impl Versioned for TrustPolicy {
    const FORMAT: Format = Format::Toml;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        let policy: Self = text.parse()?;
        let mut seen = BTreeSet::new();
        let mut keys = policy.holders.values().flatten();
        if let Some(twice) = keys.find(|key| !seen.insert(**key)) {
            return Err(Malformed::new(format!("key {twice} has two holders")));
        }
        if policy.signatures == 0 {
            return Err(Malformed::new("`signatures` must be at least 1"));
        }
        Ok(policy)
    }
}

impl TrustPolicy {
    /// Reads the policy of a host; one signature is enough where there is no
    /// such file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is of a newer lfctl, or makes no sense. A
    /// policy that was meant to hold must not be passed over in silence.
    pub fn load(file: &Path) -> Result<Self, SignError> {
        Ok(versioned::load(file)?.unwrap_or_default())
    }

    /// Writes it down.
    pub fn save(&self, file: &Path) -> Result<(), SignError> {
        let text = toml::to_string(self).map_err(|error| SignError::Io(io::Error::other(error)))?;
        write_atomically(file, text.as_bytes(), 0o644).map_err(SignError::Io)
    }

    /// Holders that have to sign.
    pub fn signatures(&self) -> usize {
        self.signatures
    }

    /// Asks for this many from now on.
    pub fn require(&mut self, signatures: usize) {
        self.signatures = signatures.max(1);
    }

    /// Who holds a key.
    pub fn holder(&self, key: KeyId) -> String {
        let named = self.holders.iter().find(|(_, keys)| keys.contains(&key));
        named.map_or_else(|| key.to_string(), |(holder, _)| holder.clone())
    }

    /// Says who holds a key; returns whether that is news. As long as the
    /// holder of a key has no name, its other keys go with it.
    pub fn assign(&mut self, key: KeyId, holder: &str) -> bool {
        let now = self.holder(key);
        if now == holder {
            return false;
        }
        // A name such as `cafe` reads as a short id; ids are written in full.
        let unnamed = now.parse().is_ok_and(|id: KeyId| id.to_string() == now);
        if let Some(keys) = unnamed.then(|| self.holders.remove(&now)).flatten() {
            self.holders
                .entry(holder.to_owned())
                .or_default()
                .extend(keys);
            return true;
        }
        for keys in self.holders.values_mut() {
            keys.remove(&key);
        }
        self.holders.retain(|_, keys| !keys.is_empty());
        self.holders
            .entry(holder.to_owned())
            .or_default()
            .insert(key);
        true
    }

    /// Gives a key to the holder of `other`.
    pub(super) fn follow(&mut self, key: KeyId, other: KeyId) -> bool {
        let holder = self.holder(other);
        // A holder without a name has that of the first key.
        self.holders
            .entry(holder.clone())
            .or_default()
            .insert(other);
        self.assign(key, &holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{SecretKey, generate};
    use fs_err as fs;
    use secrecy::ExposeSecret;

    fn key() -> SecretKey {
        let new = generate(None).unwrap();
        SecretKey::parse(new.secret.expose_secret(), None).unwrap()
    }

    #[test]
    fn naming_the_holder_of_a_key_names_that_of_the_keys_it_introduced() {
        let [vendor, introduced, site] = [key(), key(), key()].map(|key| key.public().id());
        for named_first in [vendor, introduced] {
            let mut policy = TrustPolicy::default();
            policy.follow(introduced, vendor);
            assert!(policy.assign(named_first, "vendor"));
            assert!(policy.assign(site, "security"));
            assert_eq!(policy.holder(vendor), "vendor");
            assert_eq!(policy.holder(introduced), "vendor");
            // With a name there is somebody to take a single key from.
            assert!(policy.assign(introduced, "security"));
            assert_eq!(policy.holder(vendor), "vendor");
        }
    }

    #[test]
    fn a_name_of_hex_digits_is_not_taken_for_a_key() {
        let [one, two] = [key(), key()].map(|key| key.public().id());
        for name in ["cafe", "0", "FACADE", "abcdef0123456789"] {
            let mut policy = TrustPolicy::default();
            policy.assign(one, name);
            policy.assign(two, name);
            policy.assign(two, "security");
            assert_eq!(policy.holder(one), name, "{name}");
            assert_eq!(policy.holder(two), "security");
        }
    }

    #[test]
    fn a_policy_survives_being_written_and_a_wrong_one_is_no_policy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trust-policy.toml");
        assert_eq!(TrustPolicy::load(&file).unwrap(), TrustPolicy::default());
        let (one, two) = (key().public().id(), key().public().id());
        let mut policy = TrustPolicy::default();
        policy.require(2);
        assert!(policy.assign(one, "vendor") && policy.assign(two, "vendor"));
        assert!(policy.assign(two, "security") && !policy.assign(two, "security"));
        policy.save(&file).unwrap();
        assert_eq!(TrustPolicy::load(&file).unwrap(), policy);
        let holders = format!("[holders]\na = [\"{one}\"]\nb = [\"{one}\"]\n");
        for wrong in [
            "",
            "schema = 2\nsignatures = 1\nmore = true\n",
            "schema = 1\nsignatures = 0\n",
            "schema = 1\nsignatures = 2\nholder = 1\n",
            &format!("schema = 1\nsignatures = 2\n{holders}"),
        ] {
            fs::write(&file, wrong).unwrap();
            let error = TrustPolicy::load(&file).unwrap_err().to_string();
            assert!(error.contains("trust-policy.toml"), "{error}");
        }
    }
}
