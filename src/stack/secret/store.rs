//! `secrets.toml`, and what is in it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::SecretError;
use super::generate::generate;
use super::redact::Redactor;
use super::value::Secret;
use crate::stack::SecretRule;
use crate::sys::versioned::{Format, Malformed, Text, Versioned, Writer};

/// Version of `secrets.toml` that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// The secrets of one appliance, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretStore(BTreeMap<String, Secret>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "read before, to tell the versions apart")]
    schema: u32,
    #[expect(dead_code, reason = "read before, to name the writer of a newer file")]
    #[serde(default)]
    lfctl: Writer,
    secrets: BTreeMap<String, SecretString>,
}

/// Has no `Debug`: it borrows what is never shown.
#[derive(Serialize)]
struct Exposed<'a> {
    schema: u32,
    lfctl: Writer,
    secrets: BTreeMap<&'a str, &'a str>,
}

impl Versioned for SecretStore {
    const FORMAT: Format = Format::Toml;
    const SCHEMA: u32 = SCHEMA;
    const IS_SECRET: bool = true;

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        let document: Document = text.parse()?;
        let secrets = document.secrets.into_iter();
        Ok(Self(
            secrets
                .map(|(name, value)| (name, Secret::from(value)))
                .collect(),
        ))
    }
}

impl SecretStore {
    /// The text of `secrets.toml`, for a file that only root may read.
    ///
    /// # Errors
    ///
    /// [`SecretError::Write`] when a value has no form in TOML.
    pub fn to_toml(&self) -> Result<Secret, SecretError> {
        let document = Exposed {
            schema: SCHEMA,
            lfctl: Writer,
            secrets: self
                .iter()
                .map(|(name, secret)| (name, secret.expose()))
                .collect(),
        };
        let body = toml::to_string(&document).map_err(|_| SecretError::Write)?;
        Ok(Secret::new(format!(
            "# Secrets of one appliance, made by lfctl. Without encryption-key and salt a\n\
             # backup of the databases is only half of one: keep a copy of this file.\n\n{body}"
        )))
    }

    /// The secret of this name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// Names and secrets, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, secret)| (name.as_str(), secret))
    }

    /// Takes over what the operator set. Values are checked by
    /// [`super::site::SiteConfig::parse_for`].
    ///
    /// # Errors
    ///
    /// [`SecretError::Immutable`] when a value that data depends on is there
    /// already and another one was given; nothing is taken over then.
    pub fn merge(
        &mut self,
        overrides: &BTreeMap<String, Secret>,
        rules: &BTreeMap<String, SecretRule>,
    ) -> Result<(), SecretError> {
        for (name, secret) in overrides {
            let immutable = rules.get(name).is_some_and(|rule| rule.immutable);
            if immutable && self.get(name).is_some_and(|present| present != secret) {
                return Err(SecretError::Immutable { name: name.clone() });
            }
        }
        self.0.extend(overrides.clone());
        Ok(())
    }

    /// Makes every secret that is missing and returns the names of those made.
    ///
    /// # Errors
    ///
    /// [`SecretError::Randomness`].
    pub fn generate_missing(
        &mut self,
        rules: &BTreeMap<String, SecretRule>,
    ) -> Result<Vec<String>, SecretError> {
        let mut made = Vec::new();
        for (name, rule) in rules {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), generate(rule)?);
                made.push(name.clone());
            }
        }
        Ok(made)
    }

    /// Sixteen hex digits that change when the secret does and tell nothing
    /// of it.
    pub fn fingerprint(&self, name: &str) -> Option<String> {
        let secret = self.get(name)?;
        let mut hash = Sha256::new();
        hash.update(b"lfctl secret fingerprint\0");
        hash.update(name.as_bytes());
        hash.update(b"\0");
        hash.update(secret.expose().as_bytes());
        let mut hex = hex::encode(hash.finalize());
        hex.truncate(16);
        Some(hex)
    }

    /// Finds every secret, however encoded.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::stack::SecretKind;
    use crate::sys::versioned::{self, DocumentError};
    use proptest::prelude::*;

    fn rule(kind: SecretKind, length: usize, prefix: &str) -> SecretRule {
        SecretRule {
            kind,
            length,
            prefix: prefix.to_owned(),
            immutable: true,
        }
    }

    fn store(pairs: &[(&str, &str)]) -> SecretStore {
        SecretStore(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
                .collect(),
        )
    }

    #[test]
    fn makes_what_the_rule_says_and_only_what_is_missing() {
        let rules = BTreeMap::from([
            ("key".to_owned(), rule(SecretKind::Hex, 64, "")),
            (
                "pk".to_owned(),
                rule(SecretKind::Alphanumeric, 40, "pk-lf-"),
            ),
            ("old".to_owned(), rule(SecretKind::Alphanumeric, 40, "")),
        ]);
        let mut secrets = store(&[("old", "kept-as-it-was")]);
        assert_eq!(secrets.generate_missing(&rules).unwrap(), ["key", "pk"]);
        assert!(secrets.generate_missing(&rules).unwrap().is_empty());
        let key = secrets.get("key").unwrap().expose();
        assert_eq!(hex::decode(key).unwrap().len(), 32);
        assert_eq!(key, key.to_lowercase());
        let pk = secrets.get("pk").unwrap().expose();
        assert_eq!(pk.len(), 46);
        assert!(pk.starts_with("pk-lf-"));
        assert_eq!(secrets.get("old").unwrap().expose(), "kept-as-it-was");
    }

    #[test]
    fn every_character_is_equally_likely() {
        let mut counts = BTreeMap::new();
        let text = generate(&rule(SecretKind::Alphanumeric, 62_000, "")).unwrap();
        for c in text.expose().chars() {
            *counts.entry(c).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 62);
        // 1000 expected each, standard deviation 31; folding 256 values onto
        // 62 would give eight characters 1211.
        for (c, count) in counts {
            assert!((800..=1190).contains(&count), "{c} came {count} times");
        }
    }

    fn parse(text: &str) -> Result<SecretStore, DocumentError> {
        versioned::parse(Path::new("secrets.toml"), text.as_bytes())
    }

    #[test]
    fn neither_debug_nor_errors_show_a_value() {
        let secrets = store(&[("a", "hunter2hunter2")]);
        assert!(!format!("{secrets:?}").contains("hunter2"));
        for broken in [
            "schema = 1\n[secrets]\na = hunter2hunter2\n",
            "schema = \"hunter2hunter2\"\n",
            "schema = 1\nsecrets = \"hunter2hunter2\"\n",
            "schema = 1\n[secrets]\na = \"hunter2hunter2\nb = 1",
        ] {
            let error = parse(broken).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn refuses_a_newer_file_by_name() {
        let error = parse("schema = 2\nfuture = true\n").unwrap_err();
        assert!(
            matches!(error, DocumentError::Newer { found: 2, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("`secrets.toml`"), "{error}");
    }

    #[test]
    fn immutable_secrets_keep_their_first_value() {
        let rules = BTreeMap::from([("salt".to_owned(), rule(SecretKind::Alphanumeric, 40, ""))]);
        let mut secrets = store(&[("salt", "first-value")]);
        let same = BTreeMap::from([("salt".to_owned(), Secret::new("first-value"))]);
        secrets.merge(&same, &rules).unwrap();
        let other = BTreeMap::from([("salt".to_owned(), Secret::new("other-value"))]);
        let error = secrets.merge(&other, &rules).unwrap_err();
        assert!(matches!(error, SecretError::Immutable { name } if name == "salt"));
        assert_eq!(secrets.get("salt").unwrap().expose(), "first-value");
    }

    #[test]
    fn fingerprints_tell_values_and_names_apart() {
        let secrets = store(&[("a", "same-value"), ("b", "same-value"), ("c", "other")]);
        let of = |name| secrets.fingerprint(name).unwrap();
        assert_eq!(of("a").len(), 16);
        assert_ne!(of("a"), of("b"));
        assert_ne!(of("b"), of("c"));
        assert_eq!(secrets.fingerprint("missing"), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(values in proptest::collection::btree_map("[a-z-]{1,12}", "\\PC{0,40}", 0..6)) {
            let secrets = SecretStore(
                values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            );
            let text = secrets.to_toml().unwrap();
            prop_assert_eq!(parse(text.expose()).unwrap(), secrets);
        }
    }
}
