//! Between streams of an async runtime and readers of a thread that may wait.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pieces that a writer may be ahead of the stream's reader.
const AHEAD: usize = 4;
/// Size of a piece.
const PIECE: usize = 256 * 1024;

/// Reads a stream on a thread that may wait, such as one of `spawn_blocking`.
pub struct StreamReader<S> {
    stream: S,
    piece: Bytes,
    /// Streams may not be asked again behind their end.
    is_over: bool,
    runtime: Handle,
}

impl<S> std::fmt::Debug for StreamReader<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamReader(..)")
    }
}

impl<S> StreamReader<S> {
    /// Reads `stream`, whose tasks run on `runtime`.
    pub fn new(stream: S, runtime: Handle) -> Self {
        Self {
            stream,
            piece: Bytes::new(),
            is_over: false,
            runtime,
        }
    }
}

impl<S, E> Read for StreamReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !buffer.is_empty() {
            if self.is_over {
                return Ok(0);
            }
            match self.runtime.block_on(self.stream.next()) {
                None => self.is_over = true,
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
            }
        }
        let length = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Writes a stream from a thread that may wait. Dropped without
/// [`StreamWriter::finish`] it ends the stream with an error, so that the one who
/// reads it does not take a part for the whole.
#[derive(Debug)]
pub struct StreamWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    is_finished: bool,
}

/// A writer, and the stream of what is written.
pub fn pipe() -> (
    StreamWriter,
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    let writer = StreamWriter {
        sender,
        piece: Vec::new(),
        is_finished: false,
    };
    (writer, stream)
}

impl StreamWriter {
    /// Ends the stream after everything written.
    ///
    /// # Errors
    ///
    /// Nobody reads the stream any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.is_finished = true;
        Ok(())
    }
}

impl StreamWriter {
    /// Ends the stream with this error after everything written.
    pub fn fail(mut self, error: io::Error) {
        let _ = self.flush();
        self.is_finished = true;
        let _ = self.sender.blocking_send(Err(error));
    }
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the data ended early");
            let _ = self.sender.blocking_send(Err(cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_cross_in_both_directions() {
        let (mut writer, stream) = pipe();
        let sent = vec![7; 3 * PIECE + 1];
        let copy = sent.clone();
        let writing = tokio::task::spawn_blocking(move || {
            writer.write_all(&copy)?;
            writer.finish()
        });
        let runtime = Handle::current();
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let mut reader = StreamReader::new(Box::pin(stream), runtime);
            reader.read_to_end(&mut bytes)?;
            // Behind the end there is still nothing.
            assert_eq!(reader.read(&mut [0])?, 0);
            Ok::<_, io::Error>(bytes)
        });
        writing.await.unwrap().unwrap();
        assert!(reading.await.unwrap().unwrap() == sent);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_is_no_end() {
        let (mut writer, stream) = pipe();
        tokio::task::spawn_blocking(move || {
            writer.write_all(b"part").unwrap();
            writer.flush().unwrap();
        })
        .await
        .unwrap();
        let pieces: Vec<_> = stream.collect().await;
        assert_eq!(pieces.len(), 2);
        assert!(pieces[1].is_err());
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_stops_its_writer() {
        let (mut writer, stream) = pipe();
        drop(stream);
        let written = tokio::task::spawn_blocking(move || writer.write_all(&vec![0; PIECE]));
        assert_eq!(
            written.await.unwrap().unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
