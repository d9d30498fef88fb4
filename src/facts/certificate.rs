//! The gateway's certificate and the file of its key.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use fs_err as fs;
use jiff::Timestamp;
use x509_cert::Certificate as X509;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{self, Decode, Reader, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::Fact;
use crate::stack::site::TlsFiles;
use crate::sys::text::chain;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Curves by their size in bits.
const CURVES: [(&str, u64); 4] = [
    ("1.2.840.10045.3.1.1", 192),
    ("1.2.840.10045.3.1.7", 256),
    ("1.3.132.0.34", 384),
    ("1.3.132.0.35", 521),
];
/// Signatures over MD5 and SHA-1.
const WEAK: [(&str, &str); 4] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
];

/// What the first certificate of a file says, and who can read the file of its
/// key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Path of the certificate.
    pub path: String,
    pub key_path: String,
    /// Mode of the file of its key.
    pub key_mode: u32,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// It is not valid before.
    pub not_before: Timestamp,
    /// It is not valid after.
    pub not_after: Timestamp,
    /// Its public key.
    pub key: PublicKey,
    /// The digest of its signature, where that is a weak one.
    pub weak_digest: Option<&'static str>,
}

/// A public key by kind and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA, in bits of its modulus.
    Rsa(u64),
    /// A curve, in bits.
    Ec(u64),
    /// Another kind, or a curve that lfctl does not know.
    Other,
}

/// Reads the certificate and looks at the file of its key.
pub(super) fn read(files: &TlsFiles) -> Fact<Certificate> {
    let look = || -> std::io::Result<_> {
        let text = fs::read(&files.certificate)?;
        Ok((text, fs::metadata(&files.key)?.permissions().mode()))
    };
    let (text, key_mode) = match look() {
        Ok(seen) => seen,
        Err(error) => return Fact::Unknown(error.to_string()),
    };
    match parse(&text) {
        Ok(certificate) => Fact::Known(Certificate {
            path: files.certificate.display().to_string(),
            key_path: files.key.display().to_string(),
            key_mode: key_mode & 0o777,
            ..certificate
        }),
        Err(error) => Fact::Unknown(format!(
            "`{}` cannot be read: {}",
            files.certificate.display(),
            chain(&error)
        )),
    }
}

/// The first certificate of a PEM file.
fn parse(pem: &[u8]) -> Result<Certificate, der::Error> {
    let chain = X509::load_pem_chain(pem)?;
    let first = chain.first().ok_or(der::ErrorKind::Failed)?;
    let content = first.tbs_certificate();
    let names = content
        .get_extension::<SubjectAltName>()?
        .map(|(_, names)| names.0.iter().filter_map(name).collect())
        .unwrap_or_default();
    let signature = first.signature_algorithm().oid.to_string();
    let validity = content.validity();
    Ok(Certificate {
        path: String::new(),
        key_path: String::new(),
        key_mode: 0,
        names,
        not_before: moment(validity.not_before),
        not_after: moment(validity.not_after),
        key: public_key(content.subject_public_key_info())?,
        weak_digest: WEAK
            .iter()
            .find(|(oid, _)| *oid == signature)
            .map(|(_, digest)| *digest),
    })
}

fn moment(time: x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string().to_ascii_lowercase()),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn public_key(info: &SubjectPublicKeyInfoOwned) -> Result<PublicKey, der::Error> {
    let kind = info.algorithm.oid;
    if kind == RSA {
        let bytes = info.subject_public_key.raw_bytes();
        let modulus = SliceReader::new(bytes)?.sequence(|reader| {
            let modulus = UintRef::decode(reader)?;
            let _exponent = UintRef::decode(reader)?;
            Ok::<_, der::Error>(modulus)
        })?;
        let first = modulus.as_bytes().first().copied().unwrap_or(0);
        let bits = modulus.as_bytes().len() as u64 * 8 - u64::from(first.leading_zeros());
        return Ok(PublicKey::Rsa(bits));
    }
    if kind == EC
        && let Some(parameters) = &info.algorithm.parameters
        && let Ok(curve) = parameters.decode_as::<ObjectIdentifier>()
    {
        let curve = curve.to_string();
        let known = CURVES.iter().find(|(oid, _)| *oid == curve);
        return Ok(known.map_or(PublicKey::Other, |(_, bits)| PublicKey::Ec(*bits)));
    }
    Ok(PublicKey::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl req -x509 -newkey rsa:1024 -sha1 -days 30` and by
    /// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`.
    const WEAK_RSA: &[u8] = include_bytes!("testdata/weak-rsa.pem");
    const EC_256: &[u8] = include_bytes!("testdata/ec-256.pem");

    #[test]
    fn what_openssl_made_is_read() {
        let weak = parse(WEAK_RSA).unwrap();
        assert_eq!(weak.key, PublicKey::Rsa(1024));
        assert_eq!(weak.weak_digest, Some("SHA-1"));
        assert_eq!(weak.names, Vec::<String>::new());
        let days = weak.not_after.duration_since(weak.not_before).as_hours() / 24;
        assert_eq!(days, 30);
        let ec = parse(EC_256).unwrap();
        assert_eq!((ec.key, ec.weak_digest), (PublicKey::Ec(256), None));
        assert_eq!(
            ec.names,
            ["langfuse.lan", "*.example.com", "10.0.0.5", "::1"]
        );
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        let cut = &EC_256[..EC_256.len() / 2];
        for text in [&b""[..], b"-----BEGIN CERTIFICATE-----\n", cut] {
            assert!(parse(text).is_err());
        }
    }
}
