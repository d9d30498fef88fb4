//! Getting a blob, however often the connection breaks.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oci_spec::distribution::Reference;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc::Sender;

use super::client::Wanted;
use super::{Blob, DOCUMENT_LIMIT, Registry, RegistryError, RequestError};
use crate::oci::digest::Digest;

/// Bytes that a try has to bring so that it counts as progress.
const PROGRESS: u64 = 64 << 10;

impl Registry {
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
            let limit = Some(self.client.limits.document);
            let sink = Sink {
                sender: &sender,
                progress: &|_| {},
            };
            self.fetch_within(reference, blob, &sink, limit).await
        };
        let (fetched, bytes) = futures_util::future::join(fetch, collect).await;
        fetched?;
        self.check(&what, reference, digest, bytes)
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
        let sink = Sink {
            sender: sink,
            progress,
        };
        self.fetch_within(reference, blob, &sink, None).await
    }

    /// As [`Registry::fetch`], with a limit for the time of each try.
    pub(super) async fn fetch_within(
        &self,
        reference: &Reference,
        blob: Blob,
        sink: &Sink<'_>,
        limit: Option<Duration>,
    ) -> Result<(), RegistryError> {
        let image = self.routed(reference);
        let what = format!("blob {} of `{reference}`", blob.digest);
        let mut rest = blob;
        let mut failures = 0;
        while rest.from < rest.size {
            let before = rest.from;
            let fetch = self.fetch_from(&image, &mut rest, sink);
            let fetched = match limit {
                Some(limit) => tokio::time::timeout(limit, fetch)
                    .await
                    .unwrap_or(Err(RequestError::Slow(limit))),
                None => fetch.await,
            };
            match fetched {
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
                    // A byte for each try would go on for years.
                    let has_moved = rest.from - before >= PROGRESS;
                    failures = if has_moved { 1 } else { failures + 1 };
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
        sink: &Sink<'_>,
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
        let mut pace = Pace::of(self.client.limits.trickle);
        while let Some(mut chunk) = pace.next(&mut response).await? {
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
            if sink.sender.send(chunk).await.is_err() {
                return Ok(Ended::NobodyListens);
            }
            rest.from += len;
            (sink.progress)(len);
        }
        if rest.from < rest.size {
            return Err(RequestError::CutOff {
                sent: rest.from,
                size: rest.size,
            });
        }
        Ok(Ended::Complete)
    }
}

/// Who takes the bytes of a blob, and who counts them.
pub(super) struct Sink<'a> {
    pub(super) sender: &'a Sender<Bytes>,
    pub(super) progress: &'a dyn Fn(u64),
}

/// Ends a body that comes by drops, which no limit for silence does.
struct Pace {
    limit: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn of(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// The next chunk. Only the time for which it is waited for counts: a
    /// slow disk on this side is not the registry's fault.
    async fn next(&mut self, response: &mut Response) -> Result<Option<Bytes>, RequestError> {
        let begun = Instant::now();
        let chunk = response.chunk().await?;
        self.waited += begun.elapsed();
        self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.bytes >= PROGRESS {
            *self = Self::of(self.limit);
        } else if self.waited > self.limit {
            return Err(RequestError::Trickle(self.limit));
        }
        Ok(chunk)
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
