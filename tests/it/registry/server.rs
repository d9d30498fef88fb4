//! A registry that answers as a test wants it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lfctl::bundle::create::{CreateError, Created};
use lfctl::fake::bundle::FakeImage;
use lfctl::oci::digest::Digest;
use lfctl::oci::registry::RequestLimits;

use super::{app, gateway, make, names, options};
use crate::support::bundle::key;

/// A request as far as the tests care.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: String,
    body: String,
}

impl Asked {
    /// The body of a form.
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The first byte asked for.
    pub(super) fn from(&self) -> usize {
        let range = self.headers.lines().find_map(|line| {
            let (name, value) = line.split_once(": bytes=")?;
            name.eq_ignore_ascii_case("range").then_some(value)
        });
        range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
    }
}

pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "", body)
}

pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A server on loopback that gives every request to `handle`, each in a
/// thread of its own.
pub(super) fn serve(handle: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, handle) = (stream.unwrap(), Arc::clone(&handle));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while let Ok(1..) = reader.read_line(&mut head) {
                    if head.ends_with("\r\n\r\n") {
                        break;
                    }
                }
                let Some(path) = head.split(' ').nth(1) else {
                    return;
                };
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.parse().unwrap())
                });
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let asked = Asked {
                    path: path.to_owned(),
                    body: String::from_utf8(body).unwrap(),
                    headers: head,
                };
                handle(&asked, &mut stream);
            });
        }
    });
    address
}

/// What an honest registry with the two images answers, by path.
pub(super) fn honest() -> BTreeMap<String, Vec<u8>> {
    answers_of(&[("app", app(2)), ("gateway", gateway())])
}

/// What an honest registry answers, by path.
pub(super) fn answers_of(images: &[(&str, FakeImage)]) -> BTreeMap<String, Vec<u8>> {
    let mut answers = BTreeMap::new();
    for (name, image) in images {
        let base = format!("/v2/rehearsal/{name}");
        for layer in &image.layers {
            answers.insert(
                format!("{base}/blobs/{}", layer.digest()),
                layer.bytes.clone(),
            );
        }
        answers.insert(
            format!("{base}/blobs/{}", Digest::of(&image.config)),
            image.config.clone(),
        );
        answers.insert(format!("{base}/manifests/1.0.0"), image.manifest.clone());
    }
    answers
}

/// A registry that misbehaves where `fault` says it did.
pub(super) fn faulty(
    fault: impl Fn(&Asked, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static,
) -> String {
    let answers = honest();
    serve(move |asked, stream| {
        let path = asked.path.split('?').next().unwrap();
        let Some(body) = answers.get(path) else {
            let _ = stream.write_all(&answer("404 Not Found", "", b""));
            return;
        };
        if !fault(asked, body, stream) {
            let _ = stream.write_all(&ok(body));
        }
    })
}

pub(super) fn patient(attempts: u32) -> RequestLimits {
    RequestLimits {
        attempts,
        backoff: Duration::from_millis(10),
        longest_wait: Duration::from_secs(5),
        silence: Duration::from_secs(20),
        document: Duration::from_secs(20),
        ..RequestLimits::default()
    }
}

pub(super) fn pull(address: &str, limits: RequestLimits) -> Result<Created, CreateError> {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(address, &dir.path().join("a.tar"));
    options.registry.limits = limits;
    let made = make(&options, &key());
    let expected: &[&str] = if made.is_ok() { &["a.tar"] } else { &[] };
    assert_eq!(names(dir.path()), expected);
    made
}

/// With little time for anything.
pub(super) fn hasty() -> RequestLimits {
    RequestLimits {
        silence: Duration::from_millis(500),
        document: Duration::from_secs(3),
        ..patient(2)
    }
}

/// The whole chain of an error, as it is shown; it must name image and
/// registry.
pub(super) fn refused(address: &str, limits: RequestLimits) -> String {
    let error = pull(address, limits).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(text.contains("/rehearsal/"), "no image: {text}");
    assert!(text.contains(address), "no registry: {text}");
    text
}

pub(super) fn is_large(asked: &Asked) -> bool {
    asked.path.contains(&app(2).layers[1].digest().to_string())
}

pub(super) fn is_manifest(asked: &Asked) -> bool {
    asked.path.contains("/rehearsal/app/manifests/")
}
