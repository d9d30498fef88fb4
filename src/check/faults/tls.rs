//! The certificate, before an install and after.

use jiff::SignedDuration;

use super::table::{BLOCK, Case, WARN, certificate};
use crate::facts::certificate::PublicKey;

/// Faults of the certificate.
pub(super) const TLS: &[Case] = &[
    (|f| certificate(f).not_after = f.now, "tls.expiry", BLOCK),
    (
        |f| certificate(f).not_after = f.now + SignedDuration::from_hours(30 * 24 - 1),
        "tls.expiry",
        WARN,
    ),
    (
        |f| certificate(f).not_before = f.now + SignedDuration::from_secs(301),
        "tls.expiry",
        BLOCK,
    ),
    (
        |f| certificate(f).names = vec!["other.lan".to_owned()],
        "tls.name",
        BLOCK,
    ),
    (|f| certificate(f).names.clear(), "tls.name", BLOCK),
    (
        |f| {
            certificate(f).names.clear();
            f.subject.site.as_mut().unwrap().behind_proxy = true;
        },
        "tls.name",
        WARN,
    ),
    (
        |f| certificate(f).key = PublicKey::Rsa(2047),
        "tls.strength",
        BLOCK,
    ),
    (
        |f| certificate(f).key = PublicKey::Ec(192),
        "tls.strength",
        BLOCK,
    ),
    (
        |f| certificate(f).weak_digest = Some("SHA-1"),
        "tls.strength",
        BLOCK,
    ),
    (|f| certificate(f).key_mode = 0o644, "tls.key-file", WARN),
    (|f| certificate(f).key_mode = 0o660, "tls.key-file", WARN),
];
