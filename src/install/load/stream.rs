//! The thread that makes an archive while it is sent.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::archive::{Archive, ArchiveError, ChannelWriter};
use super::{ImageSource, LoadError};
use crate::engine::LoadBody;
use crate::oci::digest::Digest;

/// Messages between the thread that reads and the engine's connection.
const QUEUE: usize = 8;

/// An archive that is being made, as its sender sees it.
pub(super) struct ArchiveStream {
    pub(super) body: LoadBody,
    /// Bytes the engine's connection has taken.
    pub(super) sent: Arc<AtomicU64>,
    /// The layer that could not be read, if one could not.
    pub(super) broken: Arc<Mutex<Option<(Digest, io::Error)>>>,
}

/// Starts making an archive. The thread ends when the body is dropped.
pub(super) fn stream(
    image: &ImageSource,
    private: &str,
    skip: usize,
) -> Result<ArchiveStream, LoadError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let sent = Arc::new(AtomicU64::new(0));
    let broken = Arc::new(Mutex::new(None));
    let (image_clone, private, slot) = (image.clone(), private.to_owned(), Arc::clone(&broken));
    std::thread::Builder::new()
        .name("image-archive".to_owned())
        .spawn(move || {
            let archive = Archive::new(&image_clone, &private, skip);
            let error = match archive.write(ChannelWriter::new(sender.clone())) {
                Ok(()) => return,
                Err(ArchiveError::Out(error)) => error,
                Err(ArchiveError::Layer(digest, error)) => {
                    let told = io::Error::new(error.kind(), format!("layer {digest}: {error}"));
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((digest, error));
                    told
                }
            };
            // A body that just ends would look whole; this one aborts the
            // request. Without a receiver it is aborted already.
            let _ = sender.blocking_send(Err(error));
        })
        .map_err(|source| LoadError::Thread {
            reference: image.reference.clone(),
            source,
        })?;
    let counter = Arc::clone(&sent);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
    .inspect(move |item: &io::Result<Bytes>| {
        if let Ok(bytes) = item {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    })
    .boxed();
    Ok(ArchiveStream { body, sent, broken })
}
