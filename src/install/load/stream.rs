//! The thread that makes an archive while it is sent.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::archive::{Archive, ArchiveError, CHUNK, Form};
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

/// Starts making an archive. The thread ends when the body is dropped, or
/// with an error in it when `stop` is set.
pub(super) fn stream(
    image: &ImageSource,
    private: &str,
    form: Form,
    skip: usize,
    stop: &Arc<AtomicBool>,
) -> Result<ArchiveStream, LoadError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let sent = Arc::new(AtomicU64::new(0));
    let broken = Arc::new(Mutex::new(None));
    let (image_clone, private, slot) = (image.clone(), private.to_owned(), Arc::clone(&broken));
    let writer = ChannelWriter::new(sender.clone(), Arc::clone(stop));
    std::thread::Builder::new()
        .name("image-archive".to_owned())
        .spawn(move || {
            let archive = Archive::new(&image_clone, &private, form, skip);
            let error = match archive.write(writer) {
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

/// Turns written bytes into messages, and waits while too many are under way.
struct ChannelWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
    stop: Arc<AtomicBool>,
}

impl ChannelWriter {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>, stop: Arc<AtomicBool>) -> Self {
        Self {
            sender,
            buffer: BytesMut::with_capacity(CHUNK),
            stop,
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another image could not be loaded"));
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(full.freeze()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let count = data.len().min(room);
        self.buffer.extend_from_slice(&data[..count]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::image;
    use super::*;

    fn go() -> Arc<AtomicBool> {
        Arc::default()
    }

    #[tokio::test]
    async fn the_stream_is_the_archive() {
        let big: &'static [u8] = vec![7; 3 << 20].leak();
        let image = image(&[big, b"two"]);
        let stream = stream(&image, "a:b", Form::Stored, 0, &go()).unwrap();
        let chunks: Vec<_> = stream.body.map(Result::unwrap).collect().await;
        let mut expected = Vec::new();
        Archive::new(&image, "a:b", Form::Stored, 0)
            .write(&mut expected)
            .unwrap();
        assert!(chunks.concat() == expected);
        assert_eq!(stream.sent.load(Ordering::Relaxed), expected.len() as u64);
    }

    #[tokio::test]
    async fn a_broken_layer_ends_the_stream_with_an_error_that_names_it() {
        let mut image = image(&[b"one", b"two"]);
        let bad = image.layers[1].digest;
        let good = Arc::clone(&image.open);
        image.open = Arc::new(move |digest| {
            if *digest == bad {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong byte"));
            }
            good(digest)
        });
        let stream = stream(&image, "a:b", Form::Inflated, 0, &go()).unwrap();
        let last = stream.body.collect::<Vec<_>>().await.pop().unwrap();
        let text = last.unwrap_err().to_string();
        assert!(text.contains(&bad.to_string()), "{text}");
        assert!(text.contains("wrong byte"), "{text}");
        assert_eq!(stream.broken.lock().unwrap().as_ref().unwrap().0, bad);
    }

    #[tokio::test]
    async fn a_stopped_stream_does_not_look_whole() {
        let stop = go();
        stop.store(true, Ordering::Relaxed);
        let stream = stream(&image(&[b"one"]), "a:b", Form::Stored, 0, &stop).unwrap();
        let last = stream.body.collect::<Vec<_>>().await.pop().unwrap();
        assert!(last.is_err());
        assert!(stream.broken.lock().unwrap().is_none());
    }

    #[test]
    fn a_closed_receiver_is_not_the_layers_fault() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let error = Archive::new(&image(&[b"one"]), "a:b", Form::Stored, 0)
            .write(ChannelWriter::new(sender, go()))
            .unwrap_err();
        assert!(matches!(error, ArchiveError::Out(_)));
    }
}
