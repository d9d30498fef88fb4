//! The thread that makes an archive while it is sent.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::ImageSource;
use super::archive::{Archive, ArchiveError, Form, Sink, Unread};
use super::inflate::CHUNK;
use crate::engine::LoadBody;

/// Messages between the thread that reads and the engine's connection.
const QUEUE: usize = 8;
/// Time between two signs of life of an archive whose end is held back.
const SIGN: Duration = Duration::from_secs(1);

/// An archive that is being made, as its sender sees it.
pub(super) struct ArchiveStream {
    pub(super) body: LoadBody,
    /// Bytes the engine's connection has taken.
    pub(super) sent: Arc<AtomicU64>,
    /// Why it was not finished, if that was not the engine's doing.
    pub(super) broken: Arc<Mutex<Option<Broken>>>,
}

/// Why an archive was not finished.
#[derive(Debug)]
pub(super) enum Broken {
    /// A layer could not be read.
    Layer(Unread),
    /// The image it went behind was not loaded.
    GivenUp,
}

/// Tells that an image is loaded; gone without a word when it is not.
pub(super) type Ahead = Receiver<()>;

/// Starts making an archive. Its end is held back until `ahead` tells that
/// the layers below those in it are there. The thread ends when the body is
/// dropped, or with an error in it when `stop` is set.
pub(super) fn stream(
    images: &[ImageSource],
    form: Form,
    skip: usize,
    stop: &Arc<AtomicBool>,
    ahead: Option<Ahead>,
) -> io::Result<ArchiveStream> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let sent = Arc::new(AtomicU64::new(0));
    let broken = Arc::new(Mutex::new(None));
    let (images, slot) = (images.to_vec(), Arc::clone(&broken));
    let writer = ChannelWriter::new(sender.clone(), Arc::clone(stop));
    std::thread::Builder::new()
        .name("image-archive".to_owned())
        .spawn(move || {
            let archive = Archive::new(&images, form, skip);
            let end = |writer: &mut ChannelWriter| writer.is_behind(ahead.as_ref());
            let (broken, told) = match archive.write(writer, end) {
                Ok(unread) => (unread.map(Broken::Layer), None),
                Err(ArchiveError::Out(error)) => (None, Some(error)),
                Err(ArchiveError::Layer(unread)) => {
                    let told = io::Error::new(
                        unread.error.kind(),
                        format!("layer {}: {}", unread.layer, unread.error),
                    );
                    (Some(Broken::Layer(unread)), Some(told))
                }
                Err(ArchiveError::GivenUp) => (Some(Broken::GivenUp), Some(given_up())),
            };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = broken;
            if let Some(told) = told {
                // A body that just ends would look whole; this one aborts the
                // request. Without a receiver it is aborted already.
                let _ = sender.blocking_send(Err(told));
            }
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

/// Turns bytes into messages, and waits while too many are under way.
struct ChannelWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// The message in the making, and how many bytes of it there are.
    buffer: Vec<u8>,
    filled: usize,
    /// Buffers come back from where they were sent, so that the system need
    /// not find fresh memory for each.
    used: Receiver<Vec<u8>>,
    back: Sender<Vec<u8>>,
    stop: Arc<AtomicBool>,
}

/// A message, whose buffer goes back once it is sent.
struct Message {
    buffer: Vec<u8>,
    len: usize,
    back: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let _ = self.back.send(std::mem::take(&mut self.buffer));
    }
}

impl ChannelWriter {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>, stop: Arc<AtomicBool>) -> Self {
        let (back, used) = channel();
        Self {
            sender,
            buffer: vec![0; CHUNK],
            filled: 0,
            used,
            back,
            stop,
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let next = self.used.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let message = Message {
            buffer: std::mem::replace(&mut self.buffer, next),
            len: std::mem::take(&mut self.filled),
            back: self.back.clone(),
        };
        self.pass(Bytes::from_owner(message))
    }

    fn pass(&self, message: Bytes) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(given_up());
        }
        self.sender
            .blocking_send(Ok(message))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits for the image ahead, if there is one. `false` when it failed.
    fn is_behind(&mut self, ahead: Option<&Ahead>) -> io::Result<bool> {
        let Some(ahead) = ahead else {
            return Ok(true);
        };
        self.send()?;
        loop {
            match ahead.recv_timeout(SIGN) {
                Ok(()) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                // Nothing goes over the wire, but the connection must not be
                // taken for a silent one.
                Err(RecvTimeoutError::Timeout) => self.pass(Bytes::new())?,
            }
        }
    }
}

fn given_up() -> io::Error {
    io::Error::other("another image could not be loaded")
}

impl Write for ChannelWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = &mut self.buffer[self.filled..];
        let count = data.len().min(room.len());
        room[..count].copy_from_slice(&data[..count]);
        self.add(count)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Sink for ChannelWriter {
    fn unfilled(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    fn add(&mut self, count: usize) -> io::Result<()> {
        self.filled += count;
        if self.filled < self.buffer.len() {
            return Ok(());
        }
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::archive::tests::Memory;
    use super::super::tests::image;
    use super::*;

    fn go() -> Arc<AtomicBool> {
        Arc::default()
    }

    #[tokio::test]
    async fn the_stream_is_the_archive() {
        let big: &'static [u8] = vec![7; 3 << 20].leak();
        let image = image(&[big, b"two"]);
        let stream = stream(from_ref(&image), Form::Stored, 0, &go(), None).unwrap();
        let chunks: Vec<_> = stream.body.map(Result::unwrap).collect().await;
        let mut expected = Memory::default();
        Archive::new(&[image], Form::Stored, 0)
            .write(&mut expected, |_| Ok(true))
            .unwrap();
        assert!(chunks.concat() == expected.bytes);
        assert_eq!(
            stream.sent.load(Ordering::Relaxed),
            expected.bytes.len() as u64
        );
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
        let stream = stream(from_ref(&image), Form::Inflated, 0, &go(), None).unwrap();
        let last = stream.body.collect::<Vec<_>>().await.pop().unwrap();
        let text = last.unwrap_err().to_string();
        assert!(text.contains(&bad.to_string()), "{text}");
        assert!(text.contains("wrong byte"), "{text}");
        let broken = stream.broken.lock().unwrap().take().unwrap();
        assert!(matches!(broken, Broken::Layer(unread) if unread.layer == bad));
    }

    #[tokio::test]
    async fn a_stopped_stream_does_not_look_whole() {
        let stop = go();
        stop.store(true, Ordering::Relaxed);
        let stream = stream(&[image(&[b"one"])], Form::Stored, 0, &stop, None).unwrap();
        let last = stream.body.collect::<Vec<_>>().await.pop().unwrap();
        assert!(last.is_err());
        assert!(stream.broken.lock().unwrap().is_none());
    }

    /// What an engine gets of an archive while the image ahead is not loaded.
    async fn held_back(stream: &mut ArchiveStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let chunk = stream.body.next().await.unwrap().unwrap();
            if chunk.is_empty() {
                return bytes;
            }
            bytes.extend(chunk);
        }
    }

    #[tokio::test]
    async fn only_the_end_is_held_back_until_the_image_ahead_is_loaded() {
        let image = image(&[b"one", b"two"]);
        let (loaded, ahead) = std::sync::mpsc::channel();
        let archive = |ahead| stream(from_ref(&image), Form::Inflated, 1, &go(), ahead).unwrap();
        let mut behind = archive(Some(ahead));
        let mut bytes = held_back(&mut behind).await;
        assert!(bytes.windows(3).any(|part| part == b"two"));
        loaded.send(()).unwrap();
        bytes.extend(
            behind
                .body
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .await
                .concat(),
        );
        let alone: Vec<_> = archive(None).body.map(Result::unwrap).collect().await;
        assert!(bytes == alone.concat());
    }

    #[tokio::test]
    async fn without_the_image_ahead_an_archive_is_never_whole() {
        let image = image(&[b"one", b"two"]);
        let (loaded, ahead) = std::sync::mpsc::channel();
        let mut behind = stream(from_ref(&image), Form::Inflated, 1, &go(), Some(ahead)).unwrap();
        held_back(&mut behind).await;
        drop(loaded);
        let last = behind.body.collect::<Vec<_>>().await.pop().unwrap();
        assert!(last.is_err());
        let broken = behind.broken.lock().unwrap().take();
        assert!(matches!(broken, Some(Broken::GivenUp)));
    }

    #[tokio::test]
    async fn an_archive_that_waits_can_be_stopped() {
        let image = image(&[b"one", b"two"]);
        let (_loaded, ahead) = std::sync::mpsc::channel();
        let stop = go();
        let mut behind = stream(from_ref(&image), Form::Inflated, 1, &stop, Some(ahead)).unwrap();
        held_back(&mut behind).await;
        stop.store(true, Ordering::Relaxed);
        let last = behind.body.collect::<Vec<_>>().await.pop().unwrap();
        assert!(last.is_err());
    }

    #[test]
    fn a_closed_receiver_is_not_the_layers_fault() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let error = Archive::new(&[image(&[b"one"])], Form::Stored, 0)
            .write(ChannelWriter::new(sender, go()), |_| Ok(true))
            .unwrap_err();
        assert!(matches!(error, ArchiveError::Out(_)));
    }
}
