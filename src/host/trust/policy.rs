//! How many holders of keys have to sign what a host takes.
//!
//! A holder is a person or a team, not a key: whoever has two keys still
//! signs as one. A key that nobody is said to hold has a holder of its own,
//! and a key that another one introduces goes to the holder of that one, so
//! that nobody can make up the second signature.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::store::TrustStore;
use crate::sign::{KeyId, SignError, Signature};
use crate::sys::fs::write_atomically;

/// Version of the file that this lfctl writes and reads.
const SCHEMA: u32 = 1;

/// `trust-policy.toml` of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustPolicy {
    /// Format version, see [`SCHEMA`].
    schema: u32,
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
            signatures: 1,
            holders: BTreeMap::new(),
        }
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
        #[derive(Deserialize)]
        struct Probe {
            schema: u32,
        }
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(SignError::Io)?,
        };
        let wrong = |reason: String| SignError::Policy {
            file: file.to_owned(),
            reason,
        };
        let probe: Probe = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if probe.schema != SCHEMA {
            return Err(wrong(format!(
                "it has schema {}; this lfctl reads schema {SCHEMA}",
                probe.schema
            )));
        }
        let policy: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = policy
            .holders
            .values()
            .flatten()
            .find(|key| !seen.insert(**key))
        {
            return Err(wrong(format!("key {twice} has two holders")));
        }
        if policy.signatures == 0 {
            return Err(wrong("no signature at all is no policy".to_owned()));
        }
        Ok(policy)
    }

    /// Writes it down.
    pub fn save(&self, file: &Path) -> Result<(), SignError> {
        let text = toml::to_string(self).map_err(|error| SignError::Policy {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
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
        let unnamed = now.parse::<KeyId>().is_ok();
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

    /// Gives a key to whoever holds `other`.
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

/// A signature that did not come inside of what it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countersignature {
    /// Where it lies.
    pub file: PathBuf,
    /// The text of the file.
    pub text: String,
}

impl TrustStore {
    /// Checks that a trusted key signed `bytes`, and as many holders of
    /// others as the host asks for. Returns the keys, that of `signature`
    /// first.
    ///
    /// # Errors
    ///
    /// As [`TrustStore::verify`]; too few holders signed. A countersignature
    /// that is wrong counts for nothing and is named then.
    pub fn verify_all(
        &self,
        bytes: &[u8],
        signature: &Signature,
        more: &[Countersignature],
    ) -> Result<Vec<KeyId>, SignError> {
        let mut signers = vec![self.verify(bytes, signature)?];
        let mut rejected = Vec::new();
        for one in more {
            let verified = Signature::parse(&one.text).and_then(|sign| self.verify(bytes, &sign));
            match verified {
                Ok(key) if signers.contains(&key) => {}
                Ok(key) => signers.push(key),
                Err(error) => rejected.push(format!("`{}`: {error}", one.file.display())),
            }
        }
        let holders: BTreeSet<_> = signers
            .iter()
            .map(|key| self.policy().holder(*key))
            .collect();
        let needed = self.policy().signatures();
        if holders.len() < needed {
            return Err(SignError::TooFew {
                needed,
                holders: holders.into_iter().collect(),
                rejected,
            });
        }
        Ok(signers)
    }

    /// Holders of keys that are trusted and not revoked.
    pub fn holders(&self) -> BTreeSet<String> {
        self.list()
            .filter(|stored| !stored.revoked)
            .map(|stored| self.policy().holder(stored.key.id()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{IntroducedKey, SecretKey, TrustStatement, generate};
    use secrecy::ExposeSecret;

    fn key() -> SecretKey {
        let new = generate(None).unwrap();
        SecretKey::parse(new.secret.expose_secret(), None).unwrap()
    }

    fn by(key: &SecretKey, bytes: &[u8]) -> Countersignature {
        Countersignature {
            file: "a.minisig".into(),
            text: key.sign(bytes, "checked").unwrap(),
        }
    }

    fn inside(key: &SecretKey) -> Signature {
        Signature::parse(&key.sign(b"index", "made").unwrap()).unwrap()
    }

    fn store(keys: &[&SecretKey], signatures: usize) -> TrustStore {
        let mut policy = TrustPolicy::default();
        policy.require(signatures);
        TrustStore::of(keys.iter().map(|key| key.public().clone())).under(policy, PathBuf::new())
    }

    #[test]
    fn two_holders_have_to_sign_where_two_are_asked_for() {
        let (vendor, site, stranger) = (key(), key(), key());
        let store = store(&[&vendor, &site], 2);
        let verify = |more: &[Countersignature]| store.verify_all(b"index", &inside(&vendor), more);
        let signers = verify(&[by(&stranger, b"index"), by(&site, b"index")]).unwrap();
        assert_eq!(signers, [vendor.public().id(), site.public().id()]);
        for (more, reason) in [
            (vec![], "1 of 2"),
            (vec![by(&vendor, b"index")], "1 of 2"),
            (vec![by(&stranger, b"index")], "is not trusted"),
            (vec![by(&site, b"other")], "is wrong"),
        ] {
            let error = verify(&more).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains(&vendor.public().id().to_string()), "{error}");
        }
        // What is inside has to be trusted, whoever signed it afterwards.
        let error = store
            .verify_all(
                b"index",
                &inside(&stranger),
                &[by(&vendor, b"index"), by(&site, b"index")],
            )
            .unwrap_err();
        assert!(matches!(error, SignError::UnknownKey { .. }), "{error}");
    }

    #[test]
    fn two_keys_of_one_holder_are_one_signature() {
        let (old, new, site) = (key(), key(), key());
        let mut store = store(&[&old, &site], 2);
        let rotation = TrustStatement {
            introduce: vec![IntroducedKey(new.public().clone())],
            revoke: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        store = store.at(dir.path());
        store
            .apply(&rotation, old.public().id(), |_| Ok::<_, SignError>(()))
            .unwrap();
        let verify = |more: &[Countersignature]| store.verify_all(b"index", &inside(&old), more);
        verify(&[by(&new, b"index")]).unwrap_err();
        assert_eq!(
            verify(&[by(&new, b"index"), by(&site, b"index")])
                .unwrap()
                .len(),
            3
        );
        assert_eq!(store.holders().len(), 2);
        // A host that reads its files again still knows.
        let policy = TrustPolicy::load(&dir.path().join("trust-policy.toml")).unwrap();
        assert_eq!(
            policy.holder(new.public().id()),
            policy.holder(old.public().id())
        );
        assert_ne!(
            policy.holder(new.public().id()),
            policy.holder(site.public().id())
        );
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
