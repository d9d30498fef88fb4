//! Keys and signatures in minisign's formats.

use std::fmt;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest as _};
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKeyBox, SignatureBox};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KeyId, SignError};

/// The untrusted comment that the `minisign` program writes by default. A
/// fixed text: it is the only part of a signature file that nothing signs.
const UNTRUSTED_COMMENT: &str = "signature from minisign secret key";
/// How an encrypted secret key begins in base64: `Ed`, `Sc` for scrypt.
const ENCRYPTED_PREFIX: &str = "RWRTY";
/// Bytes of a decoded secret key, and of the checksum at its end.
const SECRET_KEY_BYTES: usize = 158;
const CHECKSUM_BYTES: usize = 32;
/// Where a decoded secret key has the id, and the secret half itself.
const KEY_ID_AT: usize = 54;
const SECRET_AT: usize = 62;
const SECRET_BYTES: usize = 64;
/// Base64 characters of the signature line and of the line that signs the
/// trusted comment. Checked first, since the crate slices without looking.
const SIGNATURE_LINES: [(usize, usize); 2] = [(1, 100), (3, 88)];

/// A public key whose signatures count.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: PublicKey,
    id: KeyId,
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.id)
    }
}

impl TrustedKey {
    fn new(key: PublicKey) -> Self {
        let id = KeyId::from_bytes(key.keynum());
        Self { key, id }
    }

    /// Reads the text of a public key file.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        PublicKey::from_box(PublicKeyBox::from(text.to_owned()))
            .map(Self::new)
            .map_err(|error| SignError::MalformedKey {
                what: "public key".to_owned(),
                reason: error.to_string(),
            })
    }

    /// Reads the base64 line of a public key, in its one spelling.
    pub fn from_base64(text: &str) -> Result<Self, SignError> {
        let malformed = |reason: String| SignError::MalformedKey {
            what: "public key".to_owned(),
            reason,
        };
        let key = PublicKey::from_base64(text).map_err(|error| malformed(error.to_string()))?;
        if key.to_base64() != text {
            return Err(malformed("not spelled as minisign spells it".to_owned()));
        }
        Ok(Self::new(key))
    }

    /// The text of a public key file.
    pub fn to_text(&self) -> String {
        format!(
            "untrusted comment: minisign public key {}\n{}\n",
            self.id,
            self.key.to_base64()
        )
    }

    /// The same, with the key that vouched for this one.
    pub fn to_text_introduced_by(&self, signer: KeyId) -> String {
        format!(
            "untrusted comment: minisign public key {}, introduced by {signer}\n{}\n",
            self.id,
            self.key.to_base64()
        )
    }

    /// Twelve words that stand for the key, to be read aloud: BIP-39 over the
    /// first 128 bits of its SHA-256.
    pub fn words(&self) -> String {
        let digest = Sha256::digest(self.to_base64().as_bytes());
        bip39::Mnemonic::from_entropy(&digest[..16])
            .map(|words| words.words().collect::<Vec<_>>().join(" "))
            .unwrap_or_default()
    }

    /// SHA-256 of the base64 line, as hex.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.to_base64().as_bytes()))
    }

    /// The base64 line that `minisign -P` takes.
    pub fn to_base64(&self) -> String {
        self.key.to_base64()
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Checks that this key signed `bytes` and the trusted comment.
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SignError> {
        minisign::verify(
            &self.key,
            &signature.inner,
            Cursor::new(bytes),
            true,
            false,
            signature.may_be_legacy,
        )
        .map_err(|error| SignError::Wrong {
            key: signature.key_id(),
            reason: error.to_string(),
        })
    }
}

/// A signature file, read but not checked.
#[derive(Clone)]
pub struct Signature {
    inner: SignatureBox,
    comment: String,
    /// Whether it may be over the bytes themselves, as older versions of
    /// minisign sign.
    may_be_legacy: bool,
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("key_id", &self.key_id())
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

impl Signature {
    /// Reads the text of a signature file inside a bundle. Only the one
    /// spelling that this module writes is accepted.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let malformed = |reason: &str| SignError::MalformedSignature(reason.to_owned());
        let lines: Vec<&str> = text.split('\n').collect();
        for (line, length) in SIGNATURE_LINES {
            if lines.get(line).map(|text| text.len()) != Some(length) {
                return Err(malformed("not the four lines that minisign writes"));
            }
        }
        let inner = SignatureBox::from_string(text)
            .map_err(|error| SignError::MalformedSignature(error.to_string()))?;
        let comment = inner
            .trusted_comment()
            .map_err(|error| SignError::MalformedSignature(error.to_string()))?;
        if inner.untrusted_comment().ok().as_deref() != Some(UNTRUSTED_COMMENT) {
            return Err(malformed("its untrusted comment was changed"));
        }
        if inner.to_string() != text {
            return Err(malformed("it is not spelled as minisign spells it"));
        }
        if !inner.is_prehashed() {
            return Err(malformed("it is of minisign's legacy kind"));
        }
        Ok(Self {
            inner,
            comment,
            may_be_legacy: false,
        })
    }

    /// Reads the text of a signature file that lies on its own, with the
    /// tolerance of the `minisign` program: any untrusted comment, any ends of
    /// lines, anything behind the four lines, minisign's legacy kind.
    pub fn parse_tolerant(text: &str) -> Result<Self, SignError> {
        let malformed =
            || SignError::MalformedSignature("not the four lines that minisign writes".to_owned());
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let [untrusted, signature, trusted, global] =
            std::array::from_fn(|_| lines.next().unwrap_or_default());
        let are_lines = SIGNATURE_LINES
            .iter()
            .zip([signature, global])
            .all(|((_, length), line)| line.len() == *length);
        if !are_lines
            || !untrusted.starts_with("untrusted comment: ")
            || !trusted.starts_with("trusted comment: ")
        {
            return Err(malformed());
        }
        let text =
            format!("untrusted comment: {UNTRUSTED_COMMENT}\n{signature}\n{trusted}\n{global}\n");
        let malformed = |error: minisign::PError| SignError::MalformedSignature(error.to_string());
        let inner = SignatureBox::from_string(&text).map_err(malformed)?;
        let comment = inner.trusted_comment().map_err(malformed)?;
        Ok(Self {
            inner,
            comment,
            may_be_legacy: true,
        })
    }

    /// The key it names. Nothing vouches for that until it is verified.
    pub fn key_id(&self) -> KeyId {
        KeyId::from_bytes(self.inner.keynum())
    }

    /// The trusted comment; to be trusted once the signature is verified.
    pub fn trusted_comment(&self) -> &str {
        &self.comment
    }
}

/// Bytes of the signature file over anything with this trusted comment.
pub fn signature_len(trusted_comment: &str) -> usize {
    let labels = "untrusted comment: ".len() + "trusted comment: ".len();
    let base64: usize = SIGNATURE_LINES.iter().map(|(_, length)| length).sum();
    labels + UNTRUSTED_COMMENT.len() + trusted_comment.len() + base64 + 4
}

/// A key pair ready to sign.
#[derive(Clone)]
pub struct SecretKey {
    key: minisign::SecretKey,
    public: TrustedKey,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.id)
    }
}

impl SecretKey {
    /// Whether the text of a secret key file asks for a password.
    pub fn is_protected(text: &str) -> bool {
        text.lines()
            .nth(1)
            .is_some_and(|line| line.starts_with(ENCRYPTED_PREFIX))
    }

    /// Reads the text of a secret key file. The password is used only when
    /// the key is protected by one.
    pub fn parse(text: &str, password: Option<&SecretString>) -> Result<Self, SignError> {
        let secret_box = SecretKeyBox::from(text.to_owned());
        let malformed = |error: minisign::PError| SignError::MalformedKey {
            what: "secret key".to_owned(),
            reason: error.to_string(),
        };
        let key = if Self::is_protected(text) {
            let password = password.ok_or(SignError::PasswordNeeded)?;
            minisign::SecretKey::from_box(secret_box, Some(password.expose_secret().to_owned()))
                .map_err(|error| match error.kind() {
                    minisign::ErrorKind::Verify => SignError::WrongPassword,
                    _ => malformed(error),
                })?
        } else {
            match minisign::SecretKey::from_unencrypted_box(secret_box) {
                Ok(key) => key,
                Err(error) => without_checksum(text).ok_or_else(|| malformed(error))?,
            }
        };
        let public = PublicKey::from_secret_key(&key).map_err(malformed)?;
        Ok(Self {
            key,
            public: TrustedKey::new(public),
        })
    }

    /// The public half.
    pub fn public(&self) -> &TrustedKey {
        &self.public
    }

    /// Signs `bytes` and the comment; returns the text of the signature file,
    /// which is the same whenever the same is signed.
    pub fn sign(&self, bytes_to_sign: &[u8], trusted_comment: &str) -> Result<String, SignError> {
        if trusted_comment.chars().any(char::is_control)
            || trusted_comment.trim() != trusted_comment
        {
            return Err(SignError::Comment);
        }
        // The crate that reads and verifies mixes noise into each signature;
        // plain Ed25519 (RFC 8032) gives the same one for the same bytes.
        let bytes = Zeroizing::new(self.key.to_bytes());
        let (id, secret) = bytes
            .get(KEY_ID_AT..SECRET_AT + SECRET_BYTES)
            .and_then(|bytes| bytes.split_at_checked(SECRET_AT - KEY_ID_AT))
            .ok_or_else(|| crypto("it is too short"))?;
        let secret = ed25519_compact::SecretKey::from_slice(secret).map_err(crypto)?;
        let prehash = Blake2b512::digest(bytes_to_sign);
        let signature = secret.sign(prehash, None);
        let global = secret.sign(
            [signature.as_ref(), trusted_comment.as_bytes()].concat(),
            None,
        );
        let line = STANDARD.encode([b"ED", id, signature.as_ref()].concat());
        let text = format!(
            "untrusted comment: {UNTRUSTED_COMMENT}\n{line}\ntrusted comment: {trusted_comment}\n{}\n",
            STANDARD.encode(global)
        );
        // A secret half that belongs to another public one must not pass.
        self.public
            .verify(bytes_to_sign, &Signature::parse(&text)?)
            .map(|()| text)
    }
}

fn crypto(reason: impl fmt::Display) -> SignError {
    SignError::Crypto {
        action: "sign",
        reason: reason.to_string(),
    }
}

/// Reads an unprotected key as the `minisign` program writes it: with zeros
/// in place of the checksum, which the crate insists on. What the checksum
/// would tell, a trial signature does.
fn without_checksum(text: &str) -> Option<minisign::SecretKey> {
    let bytes = STANDARD.decode(text.lines().nth(1)?).ok()?;
    let unchecked = bytes.len() == SECRET_KEY_BYTES
        && bytes[2..4] == [0, 0]
        && bytes[SECRET_KEY_BYTES - CHECKSUM_BYTES..]
            .iter()
            .all(|byte| *byte == 0);
    if !unchecked {
        return None;
    }
    let key = minisign::SecretKey::from_bytes(&bytes).ok()?;
    let public = PublicKey::from_secret_key(&key).ok()?;
    minisign::sign(Some(&public), &key, Cursor::new(b""), None, None).ok()?;
    Some(key)
}

/// A new key pair as it goes to disk.
#[derive(Debug)]
pub struct NewKey {
    /// Text of the secret key file.
    pub secret: SecretString,
    /// The public half.
    pub public: TrustedKey,
}

/// Makes a key pair; with a password, the secret half is encrypted by it.
pub fn generate(password: Option<&SecretString>) -> Result<NewKey, SignError> {
    let failed = |error: minisign::PError| SignError::Crypto {
        action: "make a key pair",
        reason: error.to_string(),
    };
    let pair = match password {
        Some(password) => {
            KeyPair::generate_encrypted_keypair(Some(password.expose_secret().to_owned()))
        }
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(failed)?;
    let comment = if password.is_some() {
        "minisign encrypted secret key"
    } else {
        "minisign secret key, not protected by a password"
    };
    let secret = pair.sk.to_box(Some(comment)).map_err(failed)?.into_string();
    Ok(NewKey {
        secret: secret.into(),
        public: TrustedKey::new(pair.pk),
    })
}

#[cfg(test)]
mod tests;
