//! Certificates: which are trusted, and what is wrong with one that is not.

use std::sync::Arc;

use reqwest::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::error::RegistryError;
use super::options::CertificateFile;
use super::tls_error::is_authority;

/// What some editors write before text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How a certificate in DER begins: a sequence whose length has two bytes.
const DER: &[u8] = b"\x30\x82";

/// How to speak TLS: with the authorities of this host and those in these
/// files, and with certificates that are in them themselves.
pub(super) fn config(files: &[CertificateFile]) -> Result<ClientConfig, RegistryError> {
    let mut named = Vec::new();
    for file in files {
        named.extend(certificates(&file.content).map_err(|source| {
            let path = file.path.clone();
            RegistryError::Authority { path, source }
        })?);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = Verifier::new_with_extra_roots(named.iter().cloned(), Arc::clone(&provider))
        .map_err(RegistryError::Tls)?;
    let verifier = NamedOrSigned {
        inner,
        named,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RegistryError::Tls)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a file, at least one.
fn certificates(
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Option<Box<dyn std::error::Error + Send + Sync>>> {
    if content.starts_with(DER) {
        let certificate = CertificateDer::from(content.to_vec());
        ParsedCertificate::try_from(&certificate).map_err(|error| Some(error.into()))?;
        return Ok(vec![certificate]);
    }
    let pem = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    // The same reader as ever says what is wrong with the file.
    let found = Certificate::from_pem_bundle(pem).map_err(|error| Some(error.into()))?;
    if found.is_empty() {
        return Err(None);
    }
    Ok(CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect())
}

/// Takes a certificate that an authority signed, and one that was named
/// itself: by curl's rule, which is that of OpenSSL's partial chains.
#[derive(Debug)]
struct NamedOrSigned {
    inner: Verifier,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NamedOrSigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        // They come up only once the time was found to be right.
        let is_unsigned = match &verified {
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => true,
            Err(Error::InvalidCertificate(CertificateError::Other(other))) => is_authority(other),
            _ => false,
        };
        if is_unsigned && self.named.iter().any(|named| named == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
