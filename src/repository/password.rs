//! The password of a repository.

use bip39::Mnemonic;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::error::{RepositoryError, Result};

/// The password of a repository: 64 hexadecimal digits where lfctl made it, as
/// typed at `restic`'s prompt too.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Bytes of randomness in a new password.
const ENTROPY: usize = 32;
/// Words that they make.
const WORDS: usize = 24;

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

    /// The password that lfctl made as 24 words to write down; `None` for any
    /// other.
    pub fn words(&self) -> Option<SecretString> {
        let words = Mnemonic::from_entropy(self.entropy()?.as_slice()).ok()?;
        Some(SecretString::from(words.to_string()))
    }

    /// A password as an operator gives it: the words that lfctl showed, or the
    /// text itself.
    pub fn read(text: &str) -> Self {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.len() == WORDS
            && let Ok(mnemonic) = Mnemonic::parse_normalized(&words.join(" "))
        {
            let entropy = Zeroizing::new(mnemonic.to_entropy());
            if let Ok(entropy) = entropy.as_slice().try_into() {
                return Self::from_entropy(entropy);
            }
        }
        Self::new(text)
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

    #[test]
    fn words_stand_for_the_password_however_they_are_typed() {
        let password = Password::generate().unwrap();
        let words = password.words().unwrap();
        let words = words.expose_secret();
        assert_eq!(words.split(' ').count(), WORDS);
        let typed = words.to_uppercase().replace(' ', "  \n");
        assert_eq!(Password::read(&typed).expose(), password.expose());
        // A word that is wrong is not taken for another password silently: the
        // text opens no repository.
        assert_eq!(Password::read("correct horse").expose(), "correct horse");
        assert!(Password::new("correct horse").words().is_none());
    }
}
