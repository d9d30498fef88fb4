//! Whether a private key belongs to a certificate: a gateway with a pair that
//! does not fit together never starts.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// Whether the key is certainly not that of the first certificate. What cannot
/// be read here is left to the gateway, which knows more kinds of both.
pub(super) fn is_mismatched(certificate: &str, key: &str) -> bool {
    let first = CertificateDer::pem_slice_iter(certificate.as_bytes()).next();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let (Some(Ok(first)), Ok(key)) = (first, key) else {
        return false;
    };
    let checked = CertifiedKey::from_der(vec![first], key, &default_provider());
    matches!(
        checked,
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch))
    )
}
