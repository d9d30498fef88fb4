//! Encryption and compression of what a repository holds: AES-256 in counter
//! mode with Poly1305-AES, then `nonce ‖ ciphertext ‖ tag`.

use std::io;

use aes256ctr_poly1305aes::aead::{AeadInPlace, Nonce, Tag};
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key};
use rustic_core::repofile::MasterKey;
use sha2::{Digest, Sha256};

use super::error::{RepositoryError, Result};

/// Bytes that encryption adds.
pub(super) const OVERHEAD: usize = NONCE + TAG;
const NONCE: usize = 16;
const TAG: usize = 16;

/// First byte of a compressed file outside of packs.
const COMPRESSED: u8 = 2;

/// SHA-256 of a blob or a file: its name.
pub(super) type Hash = [u8; 32];

/// The hash of `bytes`.
pub(super) fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The master key of an open repository.
#[derive(Clone)]
pub(super) struct Cipher(Aes256CtrPoly1305Aes);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    pub(super) fn new(key: &MasterKey) -> Self {
        let mut bytes = Key::default();
        let parts = key.encrypt.iter().chain(&key.mac.k).chain(&key.mac.r);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = *from;
        }
        Self(Aes256CtrPoly1305Aes::new(&bytes))
    }

    /// Encrypts what stands behind the first [`NONCE`] bytes of `buffer`, which
    /// the nonce takes.
    fn seal_buffer(&self, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
        let mut nonce = Nonce::<Aes256CtrPoly1305Aes>::default();
        getrandom::fill(&mut nonce).map_err(RepositoryError::Random)?;
        buffer[..NONCE].copy_from_slice(&nonce);
        let tag = self
            .0
            .encrypt_in_place_detached(&nonce, &[], &mut buffer[NONCE..])
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        buffer.extend_from_slice(&tag);
        Ok(buffer)
    }

    /// Encrypts.
    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(plain.len() + OVERHEAD);
        buffer.resize(NONCE, 0);
        buffer.extend_from_slice(plain);
        self.seal_buffer(buffer)
    }

    /// Compresses and encrypts a blob.
    pub(super) fn seal_blob(&self, squeeze: &mut Squeeze, plain: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = vec![0; NONCE + zstd::zstd_safe::compress_bound(plain.len()) + TAG];
        let room = buffer.len() - TAG;
        let length = squeeze
            .0
            .compress_to_buffer(plain, &mut buffer[NONCE..room])
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        buffer.truncate(NONCE + length);
        // What is kept until its pack is full takes no more than it needs.
        buffer.reserve_exact(TAG);
        buffer.shrink_to(NONCE + length + TAG);
        self.seal_buffer(buffer)
    }

    /// Decrypts; `None` if the bytes are not what was encrypted.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let body = sealed.len().checked_sub(OVERHEAD)?;
        let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(&sealed[..NONCE]);
        let tag = Tag::<Aes256CtrPoly1305Aes>::from_slice(&sealed[NONCE + body..]);
        let mut plain = sealed[NONCE..NONCE + body].to_vec();
        self.0
            .decrypt_in_place_detached(nonce, &[], &mut plain, tag)
            .ok()?;
        Some(plain)
    }

    /// Decrypts and inflates a blob of a known size.
    pub(super) fn open_blob(&self, sealed: &[u8], size: Option<u32>) -> Option<Vec<u8>> {
        let plain = self.open(sealed)?;
        match size {
            None => Some(plain),
            Some(size) => zstd::bulk::decompress(&plain, size as usize).ok(),
        }
    }

    /// Decrypts a file outside of packs, compressed or not.
    pub(super) fn open_file(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let plain = self.open(sealed)?;
        match plain.first() {
            Some(&COMPRESSED) => zstd::stream::decode_all(io::Cursor::new(&plain[1..])).ok(),
            _ => Some(plain),
        }
    }

    /// Compresses and encrypts a file outside of packs.
    pub(super) fn seal_file(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = vec![COMPRESSED];
        zstd::stream::copy_encode(plain, &mut buffer, LEVEL)
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        self.seal(&buffer)
    }
}

/// The fastest level of zstd that still is one of its named ones. Level 3 saves
/// little more on a database dump and takes twice the time.
const LEVEL: i32 = 1;

/// A compressor, one for each thread.
pub(super) struct Squeeze(zstd::bulk::Compressor<'static>);

impl Squeeze {
    pub(super) fn new() -> Result<Self> {
        zstd::bulk::Compressor::new(LEVEL)
            .map(Self)
            .map_err(|error| RepositoryError::Format(error.to_string()))
    }
}
