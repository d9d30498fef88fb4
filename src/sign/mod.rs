//! Minisign keys, signatures, and what signers say of other keys.
//!
//! Everything is in the file formats of the `minisign` program, so a bundle
//! can be signed or checked without lfctl. Invariants: only prehashed
//! signatures are made and accepted; a signature file has one spelling, so
//! no byte of it can change unnoticed; a [`SecretKey`] is in the clear only in
//! memory.

mod key;
mod statement;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::versioned::DocumentError;
pub use key::{NewKey, SecretKey, Signature, TrustedKey, generate, signature_len};
pub use statement::{IntroducedKey, TrustStatement};

/// Names a key pair: 16 upper-case hex digits, as `minisign` prints them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    fn from_bytes(bytes: &[u8]) -> Self {
        let mut le = [0; 8];
        for (to, from) in le.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(u64::from_le_bytes(le))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Older versions of minisign leave out leading zeros.
        let digits =
            (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits
            .then(|| u64::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
            .ok_or_else(|| SignError::KeyId(text.chars().take(40).collect()))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What can go wrong with keys and signatures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The trust store is empty.
    #[error("no key is trusted on this host: `{}` holds none", .0.display())]
    NoTrustedKeys(PathBuf),
    /// The signing key is not in the trust store.
    #[error(
        "signed by key {signed_by}, which is not trusted; trusted: {}",
        list(trusted)
    )]
    UnknownKey {
        /// The key that the signature names.
        signed_by: KeyId,
        /// The keys this host trusts.
        trusted: Vec<KeyId>,
    },
    /// The signing key was revoked on this host.
    #[error("signed by key {0}, which was revoked on this host")]
    Revoked(KeyId),
    /// Fewer holders signed than this host asks for.
    #[error(
        "signed by {} of {needed} holders that this host asks for: {}",
        holders.len(),
        [holders.join(", ")].into_iter().chain(rejected.clone()).collect::<Vec<_>>().join("; ")
    )]
    TooFew {
        /// How many are asked for.
        needed: usize,
        /// Who signed.
        holders: Vec<String>,
        /// Countersignatures that do not count, and why.
        rejected: Vec<String>,
    },
    /// The trust policy of this host cannot be read.
    #[error(transparent)]
    Policy(#[from] DocumentError),
    /// The signature does not belong to the signed bytes.
    #[error("signature of key {key} is wrong: {reason}")]
    Wrong {
        /// The key that the signature names.
        key: KeyId,
        /// In minisign's words.
        reason: String,
    },
    /// Not a signature file as minisign writes it.
    #[error("signature is malformed: {0}")]
    MalformedSignature(String),
    /// Not a key file as minisign writes it.
    #[error("{what} is not a minisign key: {reason}")]
    MalformedKey {
        /// The file, or what kind of key it should be.
        what: String,
        /// In minisign's words.
        reason: String,
    },
    /// A text that names no key.
    #[error("`{0}` is not a key id of up to 16 hex digits")]
    KeyId(String),
    /// Two keys of one id, of which one may be a forgery.
    #[error("another key with the id {0} is trusted already")]
    Conflict(KeyId),
    /// Two files of the trust store hold different keys of one id.
    #[error(
        "`{}` and `{}` hold different keys, both with the id {id}",
        files[0].display(),
        files[1].display()
    )]
    TwoFiles { id: KeyId, files: [PathBuf; 2] },
    /// Others than its owner can change what this host trusts.
    #[error(
        "`{}` holds what this host trusts, and other users than its owner can write to it",
        .0.display()
    )]
    Writable(PathBuf),
    /// The secret key is encrypted and no password was given.
    #[error("secret key is protected by a password")]
    PasswordNeeded,
    /// The password does not open the secret key.
    #[error("password does not open the secret key")]
    WrongPassword,
    /// A comment that would break out of its line.
    #[error("trusted comment holds a control character or blanks at its ends")]
    Comment,
    /// Making a key or a signature failed.
    #[error("cannot {action}: {reason}")]
    Crypto {
        /// What was tried.
        action: &'static str,
        /// In minisign's words.
        reason: String,
    },
    /// A key file or list cannot be read or written.
    #[error("cannot use the trust store")]
    Io(#[source] std::io::Error),
}

fn list(keys: &[KeyId]) -> String {
    let texts: Vec<_> = keys.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
