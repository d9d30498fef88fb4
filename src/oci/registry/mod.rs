//! Pulling from registries: the only code that opens connections beyond this
//! host, and the only code behind the feature `pull`.
//!
//! Nothing a registry says is believed: documents are hashed here, the bytes
//! of a blob are counted here and hashed by the caller. Nothing it
//! does lasts without end: answers are bounded in size, silence in time.

mod answer;
mod auth;
mod challenge;
mod client;
mod credentials;
mod error;
mod fetch;
mod inside;
mod mirror;
mod options;
mod proxies;
mod tls;
mod tls_error;

use oci_spec::distribution::Reference;

use answer::bounded;
use client::{Client, Wanted};
pub use credentials::Credentials;
pub use error::{Refusal, RegistryError, RequestError};
pub use mirror::Mirror;
pub use options::{CertificateFile, Options, RequestLimits};
pub use tls_error::TlsTrouble;

use super::digest::Digest;
use super::image::{Details, ImageError, NotAnImage, config_of, is_web_page};
use super::index::{self, Fit, Index, Search};

/// Bytes of the largest manifest or config that is accepted.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// Kinds of manifests that are asked for.
const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The image manifest behind a reference, for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Its bytes.
    pub manifest: Vec<u8>,
}

/// A blob and where to begin in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// The first byte that is wanted.
    pub from: u64,
}

/// A client for all registries of one run.
pub struct Registry {
    client: Client,
    mirrors: Vec<Mirror>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("mirrors", &self.mirrors)
            .field("credentials", self.client.credentials())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A client; nothing is sent yet.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        Ok(Self {
            client: Client::new(&options)?,
            mirrors: options.mirrors,
        })
    }

    /// The image manifest behind a reference, out of an index where need be.
    pub async fn resolve(
        &self,
        reference: &Reference,
        os: &str,
        architecture: &str,
    ) -> Result<Resolved, RegistryError> {
        let bytes = self.manifest(reference).await?;
        let Some(index) = self.index(reference, &bytes)? else {
            return Ok(Resolved {
                digest: Digest::of(&bytes),
                manifest: bytes,
            });
        };
        let mut search = Search::new(os, architecture);
        search.enter(&index, None);
        let mut odd = None;
        while let Some(candidate) = search.step() {
            let named = reference.clone_with_digest(candidate.digest.clone());
            let manifest = self.manifest(&named).await?;
            if let Some(index) = self.index(&named, &manifest)? {
                search.enter(&index, Some(&candidate));
                continue;
            }
            if candidate.fit == Fit::Unsaid {
                match self.details(&named, &manifest).await {
                    Ok(said) if search.accepts(&candidate, &said.os, &said.architecture) => {}
                    Ok(_) => continue,
                    // What does not say what it is may be anything.
                    Err(error @ RegistryError::Image { .. }) => {
                        odd = odd.or(Some(error));
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(Resolved {
                digest: Digest::of(&manifest),
                manifest,
            });
        }
        Err(odd.unwrap_or_else(|| RegistryError::Platform {
            reference: reference.to_string(),
            platform: format!("{os}/{architecture}"),
            offered: search.offered(),
        }))
    }

    /// What an image says of itself.
    async fn details(
        &self,
        reference: &Reference,
        manifest: &[u8],
    ) -> Result<Details, RegistryError> {
        let unusable = |source| RegistryError::Image {
            reference: reference.to_string(),
            source: Box::new(source),
        };
        let (config, size) = config_of(manifest).map_err(unusable)?;
        let config = self.document(reference, config, size).await?;
        Details::read(&config).map_err(unusable)
    }

    /// The document as an index, if it is one.
    fn index(&self, reference: &Reference, bytes: &[u8]) -> Result<Option<Index>, RegistryError> {
        if is_web_page(bytes) {
            return Err(RegistryError::Image {
                reference: reference.to_string(),
                source: Box::new(ImageError::NotAnImage(NotAnImage::WebPage)),
            });
        }
        index::parse(bytes).map_err(|source| RegistryError::Document {
            what: format!("`{reference}`"),
            registry: self.name(reference),
            source,
        })
    }

    fn check(
        &self,
        what: &str,
        reference: &Reference,
        wanted: Digest,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, RegistryError> {
        let found = Digest::of(&bytes);
        if found == wanted {
            Ok(bytes)
        } else {
            Err(RegistryError::Content {
                what: what.to_owned(),
                registry: self.name(reference),
                wanted,
                found,
            })
        }
    }

    /// A manifest or an index; when the reference holds a digest, that one.
    async fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, RegistryError> {
        let image = self.routed(reference);
        let what = format!("`{reference}`");
        let pinned = reference.digest().map(str::parse).transpose();
        let pinned = pinned.map_err(|source| RegistryError::Digest {
            what: what.clone(),
            registry: self.name(reference),
            source,
        })?;
        let limit = self.client.limits.document;
        let mut failures = 0;
        let bytes = loop {
            let get = async {
                let wanted = Wanted::Manifest { accepted: ACCEPTED };
                bounded(self.client.get(&image, &wanted).await?, DOCUMENT_LIMIT).await
            };
            let got = tokio::time::timeout(limit, get).await;
            match got.unwrap_or(Err(RequestError::Slow(limit))) {
                Ok(bytes) => break bytes,
                Err(error) => {
                    failures += 1;
                    self.again(failures, error)
                        .await
                        .map_err(|source| self.failed(&what, reference, source))?;
                }
            }
        };
        match pinned {
            Some(wanted) => self.check(&what, reference, wanted, bytes),
            None => Ok(bytes),
        }
    }

    /// Waits for the next try, or gives the error back when there is none.
    async fn again(&self, failures: u32, error: RequestError) -> Result<(), RequestError> {
        if failures >= self.client.limits.attempts || !error.is_transient() {
            return Err(error);
        }
        self.client.wait(failures, &error).await;
        Ok(())
    }

    fn failed(&self, what: &str, reference: &Reference, source: RequestError) -> RegistryError {
        RegistryError::Request {
            what: what.to_owned(),
            registry: self.name(reference),
            source: Box::new(source),
        }
    }

    /// Who is asked for an image.
    fn name(&self, reference: &Reference) -> String {
        self.routed(reference).resolve_registry().to_owned()
    }

    fn routed(&self, reference: &Reference) -> Reference {
        let mut mirrors = self.mirrors.iter();
        let routed = mirrors.find_map(|mirror| mirror.route(reference));
        routed.unwrap_or_else(|| reference.clone())
    }
}
