//! HTTP/1.1 on a connection that goes through a command in a container. Many
//! requests may be under way; answers come in their order.

use std::io::{self, BufRead, BufReader, Read, Write};

use rusty_s3::Method;
use url::Url;

use crate::sys::stream::StreamWriter;

/// Bytes of the largest head of an answer.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 64;
const BUFFER: usize = 256 * 1024;

/// A connection, used from a thread that may wait.
pub(in crate::change) struct Connection<R> {
    requests: StreamWriter,
    answers: BufReader<R>,
}

/// The head of an answer. Its body is read from the connection, to its end,
/// before the next answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(in crate::change) status: u16,
    pub(in crate::change) content_type: Option<String>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Sized(u64),
    Chunked,
}

impl<R: Read> Connection<R> {
    pub(in crate::change) fn new(requests: StreamWriter, answers: R) -> Self {
        Self {
            requests,
            answers: BufReader::with_capacity(BUFFER, answers),
        }
    }

    /// Sends the head of a request; a body of `length` bytes has to follow.
    pub(super) fn send(
        &mut self,
        method: Method,
        url: &Url,
        content_type: Option<&str>,
        length: Option<u64>,
    ) -> io::Result<()> {
        let method = match method {
            Method::Put => "PUT",
            Method::Head => "HEAD",
            _ => "GET",
        };
        let target = &url[url::Position::BeforePath..];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        write!(
            self.requests,
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
        )?;
        if let Some(content_type) = content_type {
            write!(self.requests, "Content-Type: {content_type}\r\n")?;
        }
        if let Some(length) = length {
            write!(self.requests, "Content-Length: {length}\r\n")?;
        }
        write!(self.requests, "\r\n")
    }

    /// Where the body of a request goes.
    pub(super) fn body_of_request(&mut self) -> &mut impl Write {
        &mut self.requests
    }

    /// Sends what is still held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.requests.flush()
    }

    /// Reads the head of the next answer.
    pub(super) fn receive(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let left = (HEAD - head.len()) as u64;
            let read = (&mut self.answers)
                .take(left)
                .read_until(b'\n', &mut head)?;
            if read == 0 {
                return Err(bad("the connection ended within an answer"));
            }
        }
        Answer::parse(&head)
    }

    /// The body that belongs to an answer.
    pub(super) fn body(&mut self, answer: &Answer) -> Body<'_, R> {
        Body {
            source: &mut self.answers,
            chunked: answer.framing == Framing::Chunked,
            left: match answer.framing {
                Framing::Sized(left) => left,
                Framing::Chunked => 0,
            },
            is_first: true,
            is_over: answer.framing == Framing::Sized(0),
        }
    }

    /// Ends the connection after all answers were read.
    pub(in crate::change) fn close(self) -> io::Result<()> {
        self.requests.finish()
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

impl Answer {
    fn parse(head: &[u8]) -> io::Result<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let complete = response
            .parse(head)
            .map_err(|error| bad(&format!("no HTTP answer: {error}")))?
            .is_complete();
        let status = response.code.filter(|_| complete);
        let status = status.ok_or_else(|| bad("no HTTP answer"))?;
        let header = |name: &str| {
            response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let framing = if status == 204 || status == 304 {
            Framing::Sized(0)
        } else if header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
            Framing::Chunked
        } else {
            let length = header("content-length").and_then(|length| length.parse().ok());
            Framing::Sized(length.ok_or_else(|| bad("an answer without a length"))?)
        };
        Ok(Self {
            status,
            content_type: header("content-type").map(str::to_owned),
            framing,
        })
    }
}

/// The body of an answer.
pub(super) struct Body<'a, R> {
    source: &'a mut BufReader<R>,
    chunked: bool,
    /// Bytes left of it, or of its current chunk.
    left: u64,
    is_first: bool,
    is_over: bool,
}

impl<R: Read> Body<'_, R> {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut *self.source).take(1024).read_line(&mut line)?;
        if line.ends_with('\n') {
            Ok(line.trim_end().to_owned())
        } else {
            Err(bad("the connection ended within an answer"))
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) && !self.line()?.is_empty() {
            return Err(bad("a chunk longer than it says"));
        }
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk without a size"))?;
        if self.left == 0 {
            self.is_over = true;
            while !self.line()?.is_empty() {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunked && self.left == 0 && !self.is_over {
            self.next_chunk()?;
        }
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let read = (&mut *self.source).take(self.left).read(buffer)?;
        if read == 0 {
            return Err(bad("the connection ended within an answer"));
        }
        self.left -= read as u64;
        self.is_over = !self.chunked && self.left == 0;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stream::pipe;

    fn bodies(answers: &[u8], count: usize) -> io::Result<Vec<(u16, String)>> {
        let (writer, _stream) = pipe();
        let mut connection = Connection::new(writer, answers);
        let mut all = Vec::new();
        for _ in 0..count {
            let answer = connection.receive()?;
            let mut text = String::new();
            connection.body(&answer).read_to_string(&mut text)?;
            all.push((answer.status, text));
        }
        Ok(all)
    }

    #[test]
    fn answers_follow_each_other_in_both_framings() {
        let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n\
            HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let wanted = [(200, "hello"), (200, "abcde"), (404, "")];
        let wanted = wanted.map(|(status, text)| (status, text.to_owned()));
        assert_eq!(bodies(answers, 3).unwrap(), wanted);
    }

    #[test]
    fn a_cut_answer_is_no_answer() {
        for cut in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"nc: bad address\r\n\r\n",
        ] {
            assert!(bodies(cut, 1).is_err(), "{cut:?}");
        }
    }
}
