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
use super::tls_error::is_authority;

/// How to speak TLS: with the authorities of this host and those in these PEM
/// files, and with certificates that are in them themselves.
pub(super) fn config(files: &[Vec<u8>]) -> Result<ClientConfig, RegistryError> {
    let mut named = Vec::new();
    for pem in files {
        // The same reader as ever says what is wrong with the file.
        let found = Certificate::from_pem_bundle(pem)
            .map_err(|error| RegistryError::Authority(Some(error)))?;
        if found.is_empty() {
            return Err(RegistryError::Authority(None));
        }
        named.extend(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
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
