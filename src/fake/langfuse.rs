//! A web server that answers lfctl's probes as Langfuse 3 does: health with a
//! version, events in by OpenTelemetry, traces out by id.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running server on a free port of loopback; it ends when dropped.
#[derive(Debug)]
pub struct FakeLangfuse {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    version: Arc<Mutex<String>>,
}

impl FakeLangfuse {
    /// Starts to answer as `version`.
    ///
    /// # Errors
    ///
    /// No port could be opened.
    pub fn start(version: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let version = Arc::new(Mutex::new(version.to_owned()));
        let answers = Arc::clone(&version);
        let traces = Mutex::new(BTreeSet::new());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is its own matter.
                let _ = stream.and_then(|stream| serve(stream, &answers, &traces));
            }
        });
        Ok(Self {
            address,
            stop,
            version,
        })
    }

    /// Answers as another version from now on.
    pub fn become_version(&self, version: &str) {
        let mut answers = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        version.clone_into(&mut answers);
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FakeLangfuse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: TcpStream,
    version: &Mutex<String>,
    traces: &Mutex<BTreeSet<String>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (head, body) = request(&mut stream)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, answer) = if path.starts_with("/api/public/health") {
        let version = version.lock().unwrap_or_else(PoisonError::into_inner);
        (200, format!(r#"{{"status":"OK","version":"{version}"}}"#))
    } else if path.starts_with("/api/public/otel") {
        let ids = body.split(r#""traceId":""#).skip(1);
        traces.extend(ids.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        (200, "{}".to_owned())
    } else if let Some(id) = path.strip_prefix("/api/public/traces/")
        && traces.contains(id)
    {
        (200, format!(r#"{{"id":"{id}"}}"#))
    } else {
        (404, "{}".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{answer}",
        answer.len()
    )
}

/// Head and body of one request.
fn request(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        text.extend_from_slice(&buffer[..count]);
        let all = String::from_utf8_lossy(&text);
        if let Some((head, body)) = all.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().ok())?
            });
            if count == 0 || body.len() >= length.unwrap_or(0) {
                return Ok((head.to_owned(), body.to_owned()));
            }
        } else if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
