//! Pulling from registries: the only code that opens connections beyond this
//! host, and the only code behind the feature `pull`.
//!
//! Nothing a registry says is believed: documents are hashed here, the bytes
//! of a blob are counted here and hashed by whoever takes them. Nothing it
//! does lasts for ever: answers are bounded in size, silence in time.

mod auth;
mod client;
mod credentials;
mod error;
mod mirror;

use std::borrow::Cow;

use bytes::Bytes;
use oci_spec::distribution::Reference;
use oci_spec::image::ImageIndex;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use tokio::sync::mpsc::Sender;

pub use client::Patience;
use client::{Client, Wanted, bounded};
pub use credentials::{Credentials, HelperError};
pub use error::{RegistryError, RequestError};
pub use mirror::Mirror;

use super::digest::Digest;
use super::index;

/// Bytes of the largest manifest or config that is accepted.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// Kinds of manifests that are asked for.
const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// How to reach registries. A proxy is taken from `HTTP_PROXY`, `HTTPS_PROXY`
/// and `NO_PROXY`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Registries to be asked instead.
    pub mirrors: Vec<Mirror>,
    /// HTTP without TLS: to the mirrors if there are any, else to every
    /// registry.
    pub plain_http: bool,
    /// Logins.
    pub credentials: Credentials,
    /// Certificates (PEM) that are trusted besides those of this host.
    pub authorities: Vec<Vec<u8>>,
    /// How long to wait and how often to try again.
    pub patience: Patience,
}

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
    /// Its digest.
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
        let platform = || format!("{os}/{architecture}");
        let chosen =
            index::pick(&index, os, architecture).ok_or_else(|| RegistryError::Platform {
                reference: reference.to_string(),
                platform: platform(),
                offered: index::platforms(&index),
            })?;
        let named = reference.clone_with_digest(chosen.digest().to_string());
        let manifest = self.manifest(&named).await?;
        if self.index(&named, &manifest)?.is_some() {
            return Err(RegistryError::Nested {
                reference: reference.to_string(),
                platform: platform(),
            });
        }
        Ok(Resolved {
            digest: Digest::of(&manifest),
            manifest,
        })
    }

    /// The document as an index, if it is one.
    fn index(
        &self,
        reference: &Reference,
        bytes: &[u8],
    ) -> Result<Option<ImageIndex>, RegistryError> {
        index::parse(bytes).map_err(|source| RegistryError::Document {
            what: format!("`{reference}`"),
            registry: self.name(reference),
            source,
        })
    }

    /// A small blob, such as an image config, whole and verified.
    pub async fn document(
        &self,
        reference: &Reference,
        digest: Digest,
        size: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blob {digest} of `{reference}`");
        if size > DOCUMENT_LIMIT {
            return Err(RegistryError::TooLarge {
                what,
                registry: self.name(reference),
                limit: DOCUMENT_LIMIT,
            });
        }
        let (sender, mut chunks) = tokio::sync::mpsc::channel::<Bytes>(4);
        let collect = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                bytes.extend_from_slice(&chunk);
            }
            bytes
        };
        let blob = Blob {
            digest,
            size,
            from: 0,
        };
        let fetch = async {
            let sender = sender;
            self.fetch(reference, blob, &sender, &|_| {}).await
        };
        let (fetched, bytes) = futures_util::future::join(fetch, collect).await;
        fetched?;
        self.check(&what, reference, digest, bytes)
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

    /// Sends the bytes of a blob to `sink`, in order and each once. A broken
    /// connection is taken up again where it broke. The bytes are counted but
    /// not hashed. Ends early and well when nobody takes them.
    pub async fn fetch(
        &self,
        reference: &Reference,
        blob: Blob,
        sink: &Sender<Bytes>,
        progress: &dyn Fn(u64),
    ) -> Result<(), RegistryError> {
        let image = self.routed(reference);
        let what = format!("blob {} of `{reference}`", blob.digest);
        let mut rest = blob;
        let mut failures = 0;
        while rest.from < rest.size {
            let before = rest.from;
            match self.fetch_from(&image, &mut rest, sink, progress).await {
                Ok(Ended::NobodyListens) => return Ok(()),
                Ok(Ended::Complete) => {}
                Err(RequestError::TooLarge(limit)) => {
                    return Err(RegistryError::TooLarge {
                        what,
                        registry: self.name(reference),
                        limit,
                    });
                }
                Err(error) => {
                    failures = if rest.from > before { 1 } else { failures + 1 };
                    self.again(failures, error)
                        .await
                        .map_err(|source| self.failed(&what, reference, source))?;
                }
            }
        }
        Ok(())
    }

    async fn fetch_from(
        &self,
        image: &Reference,
        rest: &mut Blob,
        sink: &Sender<Bytes>,
        progress: &dyn Fn(u64),
    ) -> Result<Ended, RequestError> {
        let wanted = Wanted::Blob {
            digest: rest.digest.to_string(),
            from: rest.from,
        };
        let mut response = self.client.get(image, &wanted).await?;
        // Some servers know no ranges and send the blob from its beginning.
        let mut skip = rest.from;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE);
            let said = range.map(|range| String::from_utf8_lossy(range.as_bytes()));
            check_range(said, rest.from)?;
            skip = 0;
        }
        while let Some(mut chunk) = response.chunk().await? {
            let known = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
            skip -= known as u64;
            let chunk = chunk.split_off(known);
            if chunk.is_empty() {
                continue;
            }
            let len = chunk.len() as u64;
            if len > rest.size - rest.from {
                return Err(RequestError::TooLarge(rest.size));
            }
            if sink.send(chunk).await.is_err() {
                return Ok(Ended::NobodyListens);
            }
            rest.from += len;
            progress(len);
        }
        if rest.from < rest.size {
            return Err(RequestError::CutOff {
                sent: rest.from,
                size: rest.size,
            });
        }
        Ok(Ended::Complete)
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
        let limit = self.client.patience.document;
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
        if failures >= self.client.patience.attempts || !error.is_transient() {
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

enum Ended {
    Complete,
    NobodyListens,
}

fn check_range(said: Option<Cow<'_, str>>, wanted: u64) -> Result<(), RequestError> {
    let said = said.unwrap_or_default();
    if said.starts_with(&format!("bytes {wanted}-")) {
        Ok(())
    } else {
        Err(RequestError::Range {
            wanted,
            found: said.into_owned(),
        })
    }
}
