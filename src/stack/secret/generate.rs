//! New secrets out of the operating system's randomness.

use super::error::SecretError;
use super::value::Secret;
use crate::stack::{SecretKind, SecretRule};

/// A secret that keeps `rule`.
pub(super) fn generate(rule: &SecretRule) -> Result<Secret, SecretError> {
    let alphabet: &[u8] = match rule.kind {
        SecretKind::Alphanumeric => {
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        }
        SecretKind::Hex => b"0123456789abcdef",
    };
    // Bytes beyond the last whole run of the alphabet are drawn again, so that
    // no character is likelier than another.
    let limit = 256 / alphabet.len() * alphabet.len();
    let mut value = rule.prefix.clone();
    let mut missing = rule.length;
    let mut bytes = [0_u8; 64];
    while missing > 0 {
        getrandom::fill(&mut bytes).map_err(SecretError::Randomness)?;
        for byte in bytes {
            if missing > 0 && usize::from(byte) < limit {
                value.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
                missing -= 1;
            }
        }
    }
    Ok(Secret::new(value))
}
