//! The password of a repository.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::error::{RepositoryError, Result};

/// The password of a repository: 64 hexadecimal digits where lfctl made it, as
/// typed at `restic`'s prompt too.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Bytes of randomness in a new password.
const ENTROPY: usize = 32;

impl Password {
    /// Makes a password of 256 random bits.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let mut entropy = Zeroizing::new([0; ENTROPY]);
        getrandom::fill(entropy.as_mut_slice()).map_err(RepositoryError::Random)?;
        Ok(Self::from_entropy(&entropy))
    }

    /// The password that stands for these bytes.
    pub fn from_entropy(entropy: &[u8; ENTROPY]) -> Self {
        Self(SecretString::from(hex::encode(entropy)))
    }

    /// A password as it was typed.
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// The random bytes behind a password that lfctl made, for words to write
    /// down; `None` for any other.
    pub fn entropy(&self) -> Option<Zeroizing<[u8; ENTROPY]>> {
        let mut entropy = Zeroizing::new([0; ENTROPY]);
        hex::decode_to_slice(self.expose(), entropy.as_mut_slice()).ok()?;
        Some(entropy)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_password_is_another_and_comes_back_from_its_bytes() {
        let one = Password::generate().unwrap();
        let two = Password::generate().unwrap();
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 64);
        let entropy = one.entropy().unwrap();
        assert_eq!(Password::from_entropy(&entropy).expose(), one.expose());
        assert!(Password::new("typed").entropy().is_none());
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
