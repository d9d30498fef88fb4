//! Asking for containers without the client's models.
//!
//! bollard refuses a whole answer over one word it does not know, and Podman
//! says `stopped` of a container that has ended and is not cleaned up yet. So
//! containers are read as plain JSON first.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::Docker;
use super::call::{READ, innermost, refused};
use crate::engine::EngineError;

/// One container, `None` when there is none.
pub(super) async fn container(
    docker: &Docker,
    action: &str,
    name: &str,
) -> Result<Option<Value>, EngineError> {
    get(docker, action, &format!("/containers/{name}/json")).await
}

/// Ids of all containers with a label of this value, running or not.
pub(super) async fn container_ids(
    docker: &Docker,
    action: &str,
    label: &str,
) -> Result<Vec<String>, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        id: String,
    }
    let filters = serde_json::json!({ "label": [label] }).to_string();
    let path = format!("/containers/json?all=true&filters={}", encode(&filters));
    let answer = get(docker, action, &path).await?.unwrap_or_default();
    let listed: Vec<Listed> = serde_json::from_value(answer)
        .map_err(|error| refused(action, None, &error.to_string()))?;
    Ok(listed.into_iter().map(|container| container.id).collect())
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

async fn get(docker: &Docker, action: &str, path: &str) -> Result<Option<Value>, EngineError> {
    let limited = tokio::time::timeout(READ, request(docker, action, path));
    let (status, body) = limited.await.map_err(|_| EngineError::Timeout {
        action: action.to_owned(),
        limit: READ,
    })??;
    let json = serde_json::from_slice::<Value>(&body);
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !status.is_success() {
        let message = json
            .ok()
            .and_then(|json| Some(json.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        return Err(refused(action, Some(status.as_u16()), &message));
    }
    json.map(Some)
        .map_err(|error| refused(action, None, &error.to_string()))
}

async fn request(
    docker: &Docker,
    action: &str,
    path: &str,
) -> Result<(StatusCode, Bytes), EngineError> {
    let broken =
        |error: &(dyn std::error::Error + 'static)| refused(action, None, &innermost(error));
    let stream = UnixStream::connect(&docker.socket)
        .await
        .map_err(|source| EngineError::Unreachable {
            socket: docker.socket.display().to_string(),
            source: Box::new(source),
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, body))
    };
    let mut talk = std::pin::pin!(talk);
    // The connection ends first when the engine hangs up at once; the answer
    // is then already here, or its error is.
    tokio::select! {
        answer = &mut talk => answer,
        _ = connection => talk.await,
    }
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
