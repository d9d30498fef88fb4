//! The signatures of a bundle, held against the keys and the policy of a host.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::store::TrustStore;
use crate::sign::{KeyId, SignError, Signature};

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
            let verified = Signature::parse_tolerant(&one.text);
            let verified = verified.and_then(|sign| self.verify(bytes, &sign));
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
    use crate::host::trust::TrustPolicy;
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
        // What is inside has to be trusted, although another one signed it afterwards.
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
            ..TrustStatement::default()
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
}
