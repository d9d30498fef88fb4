//! Asking without the client's models.
//!
//! bollard refuses a whole answer over one word it does not know, and engines
//! learn new words: Podman 5.8 says `stopped` of a container's health. So
//! answers are read as plain JSON.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, header};
use serde_json::Value;
use tokio::net::UnixStream;

use super::Docker;
use super::call::{READ, innermost, refused};
use crate::engine::EngineError;
use crate::sys::http1::exchange;

/// Bytes of an answer: a host with thousands of containers has some MiB.
const ANSWER_LIMIT: usize = 64 << 20;

/// The part of a query that asks for objects with this value only.
pub(super) fn filter(name: &str, value: &str) -> String {
    let filters = serde_json::json!({ name: [value] }).to_string();
    format!("filters={}", encode(&filters))
}

/// Percent-encodes everything that is not a letter or a digit.
fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// What the engine answers, `None` for "not found".
pub(super) async fn get(
    docker: &Docker,
    action: &str,
    path: &str,
) -> Result<Option<Value>, EngineError> {
    let limited = tokio::time::timeout(READ, request(docker, action, path));
    let (status, body) = limited.await.map_err(|_| EngineError::Timeout {
        action: action.to_owned(),
        limit: READ,
    })??;
    let json = serde_json::from_slice::<Value>(&body);
    if status == 404 {
        return Ok(None);
    }
    if !(200..300).contains(&status) {
        let message = json
            .ok()
            .and_then(|json| Some(json.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        return Err(refused(action, Some(status), &message));
    }
    json.map(Some)
        .map_err(|error| refused(action, None, &error.to_string()))
}

async fn request(docker: &Docker, action: &str, path: &str) -> Result<(u16, Bytes), EngineError> {
    let broken =
        |error: &(dyn std::error::Error + 'static)| refused(action, None, &innermost(error));
    let stream = UnixStream::connect(&docker.socket)
        .await
        .map_err(|source| EngineError::Unreachable {
            socket: docker.socket.display().to_string(),
            source: Box::new(source),
        })?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    exchange(stream, request, ANSWER_LIMIT)
        .await
        .map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_survive_the_way_into_a_query() {
        assert_eq!(
            encode(r#"{"a":["b=é"]}"#),
            "%7B%22a%22%3A%5B%22b%3D%C3%A9%22%5D%7D"
        );
    }
}
