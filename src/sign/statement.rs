//! What a signer says of other keys.
//!
//! Plain data: who may say it, and what follows from it, is decided where
//! it is applied to a trust store.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{KeyId, TrustedKey};

/// Keys that a signer vouches for, and keys it declares void. It travels in
/// a bundle, or in a file of its own, and counts only with a signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustStatement {
    /// Higher in each later statement of the same signer. One in a bundle
    /// has none: the counter of the release stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Keys to be trusted from now on, as the base64 line that `minisign -P`
    /// takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introduce: Vec<IntroducedKey>,
    /// Ids of keys whose signatures are to be refused from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoke: Vec<KeyId>,
}

impl TrustStatement {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.introduce.is_empty() && self.revoke.is_empty()
    }
}

/// A public key inside a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntroducedKey(pub TrustedKey);

impl Serialize for IntroducedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_base64())
    }
}

impl<'de> Deserialize<'de> for IntroducedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        TrustedKey::from_base64(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::generate;

    #[test]
    fn a_key_has_one_spelling() {
        let key = generate(None).unwrap().public;
        let statement = TrustStatement {
            counter: Some(7),
            introduce: vec![IntroducedKey(key.clone())],
            revoke: vec![key.id()],
        };
        let text = serde_json::to_string(&statement).unwrap();
        assert_eq!(
            serde_json::from_str::<TrustStatement>(&text).unwrap(),
            statement
        );
        let other = text.replace(&key.to_base64(), &format!(" {}", key.to_base64()));
        assert!(serde_json::from_str::<TrustStatement>(&other).is_err());
        assert!(TrustStatement::default().is_empty() && !statement.is_empty());
    }
}
