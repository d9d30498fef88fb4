//! Pulling from registries: the only code that opens connections beyond this
//! host, and the only code behind the feature `pull`.
//!
//! Nothing a registry says is believed: documents are hashed here, the bytes
//! of a blob are counted here and hashed by whoever takes them.

mod credentials;
mod error;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::{Client, Reference};
use oci_spec::image::{Arch, ImageIndex, Os};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

pub use credentials::Credentials;
pub use error::RegistryError;
use error::{is_transient, request_error};

use super::digest::Digest;

/// Bytes of the largest manifest or config that is accepted.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// Time for a manifest, which has a few KiB.
const DOCUMENT_TIME: Duration = Duration::from_secs(60);
/// Tries without any progress before giving up.
const ATTEMPTS: u32 = 4;
/// Wait before the second try; doubles each time.
const BACKOFF: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
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

/// A client for all registries of one run.
pub struct Registry {
    client: Client,
    mirrors: Vec<(String, String)>,
    credentials: Credentials,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("mirrors", &self.mirrors)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A client that asks a mirror (second) wherever a reference names a
    /// registry (first). With `plain_http` it speaks HTTP without TLS: to the
    /// mirrors if there are any, else to every registry.
    pub fn new(
        mirrors: Vec<(String, String)>,
        plain_http: bool,
        credentials: Credentials,
    ) -> Result<Self, RegistryError> {
        let protocol = match (plain_http, mirrors.is_empty()) {
            (false, _) => ClientProtocol::Https,
            (true, true) => ClientProtocol::Http,
            (true, false) => ClientProtocol::HttpsExcept(
                mirrors.iter().map(|(_, mirror)| mirror.clone()).collect(),
            ),
        };
        let client = Client::try_from(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("lfctl/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })
        .map_err(RegistryError::Client)?;
        Ok(Self {
            client,
            mirrors,
            credentials,
        })
    }

    /// The image manifest behind a reference, out of an index where need be.
    pub async fn resolve(
        &self,
        reference: &Reference,
        os: &str,
        architecture: &str,
    ) -> Result<Resolved, RegistryError> {
        #[derive(Deserialize)]
        struct Probe {
            manifests: Option<serde::de::IgnoredAny>,
        }
        let what = format!("`{reference}`");
        let unreadable = |source| RegistryError::Document {
            what: what.clone(),
            source,
        };
        let bytes = self.manifest(reference).await?;
        let probe: Probe = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if probe.manifests.is_none() {
            return Ok(Resolved {
                digest: Digest::of(&bytes),
                manifest: bytes,
            });
        }
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(unreadable)?;
        let chosen = pick(&index, os, architecture).ok_or_else(|| RegistryError::Platform {
            reference: reference.to_string(),
            platform: format!("{os}/{architecture}"),
            offered: platforms(&index),
        })?;
        let manifest = self
            .manifest(&reference.clone_with_digest(chosen.clone()))
            .await?;
        let found = Digest::of(&manifest);
        match chosen.parse::<Digest>() {
            Ok(wanted) if wanted != found => Err(RegistryError::Content {
                what,
                wanted,
                found,
            }),
            _ => Ok(Resolved {
                digest: found,
                manifest,
            }),
        }
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
        let fetch = async {
            let sender = sender;
            self.fetch(reference, digest, size, &sender, &|_| {}).await
        };
        let (fetched, bytes) = futures_util::future::join(fetch, collect).await;
        fetched?;
        let found = Digest::of(&bytes);
        if found == digest {
            Ok(bytes)
        } else {
            Err(RegistryError::Content {
                what,
                wanted: digest,
                found,
            })
        }
    }

    /// Sends the `size` bytes of a blob to `sink`, in order and each once. A
    /// broken connection is taken up again where it broke. The bytes are
    /// counted but not hashed. Ends early and well when nobody takes them.
    pub async fn fetch(
        &self,
        reference: &Reference,
        digest: Digest,
        size: u64,
        sink: &Sender<Bytes>,
        progress: &dyn Fn(u64),
    ) -> Result<(), RegistryError> {
        let image = self.routed(reference);
        let what = format!("blob {digest} of `{reference}`");
        let mut sent = 0;
        let mut failures = 0;
        while sent < size {
            let before = sent;
            let result = self
                .fetch_from(&image, digest, size, &mut sent, sink, progress)
                .await;
            match result {
                Ok(Ended::NobodyListens) => return Ok(()),
                Ok(Ended::TooMuch) => return Err(RegistryError::TooLarge { what, limit: size }),
                Ok(Ended::Complete) => {}
                Err(error) => {
                    failures = if sent > before { 1 } else { failures + 1 };
                    if failures >= ATTEMPTS || !is_transient(&error) {
                        return Err(request_error(what, &image, error));
                    }
                    wait(failures).await;
                }
            }
        }
        Ok(())
    }

    async fn fetch_from(
        &self,
        image: &Reference,
        digest: Digest,
        size: u64,
        sent: &mut u64,
        sink: &Sender<Bytes>,
        progress: &dyn Fn(u64),
    ) -> Result<Ended, OciDistributionError> {
        use oci_client::client::BlobResponse;
        let descriptor = OciDescriptor {
            digest: digest.to_string(),
            ..OciDescriptor::default()
        };
        // Asking for a range keeps the client from hashing what is hashed
        // again behind the sink.
        let response = self
            .client
            .pull_blob_stream_partial(image, &descriptor, *sent, None)
            .await?;
        let (mut stream, mut skip) = match response {
            BlobResponse::Full(stream) => (stream.stream, *sent),
            BlobResponse::Partial(stream) => (stream.stream, 0),
        };
        while let Some(chunk) = stream.next().await {
            let mut chunk = chunk?;
            let known = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
            skip -= known as u64;
            let chunk = chunk.split_off(known);
            if chunk.is_empty() {
                continue;
            }
            let len = chunk.len() as u64;
            if len > size - *sent {
                return Ok(Ended::TooMuch);
            }
            if sink.send(chunk).await.is_err() {
                return Ok(Ended::NobodyListens);
            }
            *sent += len;
            progress(len);
        }
        if *sent < size {
            return Err(OciDistributionError::IoError(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("it ends after {sent} of {size} bytes"),
            )));
        }
        Ok(Ended::Complete)
    }

    async fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, RegistryError> {
        let image = self.routed(reference);
        let login = self.credentials.of(image.resolve_registry());
        let what = format!("`{reference}`");
        let mut failures = 0;
        loop {
            // The client reads the whole body before its size can be looked at;
            // the limit in time keeps an endless one from filling the memory.
            let pull = self.client.pull_manifest_raw(&image, &login, ACCEPTED);
            let Ok(pulled) = tokio::time::timeout(DOCUMENT_TIME, pull).await else {
                return Err(RegistryError::Slow {
                    what,
                    limit: DOCUMENT_TIME,
                });
            };
            match pulled {
                Ok((bytes, _)) if bytes.len() as u64 > DOCUMENT_LIMIT => {
                    return Err(RegistryError::TooLarge {
                        what,
                        limit: DOCUMENT_LIMIT,
                    });
                }
                Ok((bytes, _)) => return Ok(bytes.to_vec()),
                Err(error) => {
                    failures += 1;
                    if failures >= ATTEMPTS || !is_transient(&error) {
                        return Err(request_error(what, &image, error));
                    }
                    wait(failures).await;
                }
            }
        }
    }

    fn routed(&self, reference: &Reference) -> Reference {
        let mut reference = reference.clone();
        let mirror = self
            .mirrors
            .iter()
            .find(|(registry, _)| registry == reference.registry());
        if let Some((_, mirror)) = mirror {
            reference.set_mirror_registry(mirror.clone());
        }
        reference
    }
}

enum Ended {
    Complete,
    TooMuch,
    NobodyListens,
}

async fn wait(failures: u32) {
    tokio::time::sleep(BACKOFF * 2_u32.saturating_pow(failures - 1)).await;
}

fn pick(index: &ImageIndex, os: &str, architecture: &str) -> Option<String> {
    let (os, architecture) = (Os::from(os), Arch::from(architecture));
    index
        .manifests()
        .iter()
        .find(|entry| {
            entry.platform().as_ref().is_some_and(|platform| {
                *platform.os() == os && *platform.architecture() == architecture
            })
        })
        .map(|entry| entry.digest().to_string())
}

fn platforms(index: &ImageIndex) -> Vec<String> {
    index
        .manifests()
        .iter()
        .filter_map(|entry| entry.platform().as_ref())
        .filter(|platform| platform.os().to_string() != "unknown")
        .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
        .collect()
}
