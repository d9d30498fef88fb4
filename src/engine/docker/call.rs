//! One place where calls get their time limit and errors their words.

use std::time::Duration;

use bollard::errors::Error;

use super::Docker;
use crate::engine::EngineError;

/// Reading state; generous, since an engine that unpacks an image is slow to
/// answer.
pub(super) const READ: Duration = Duration::from_secs(60);
/// Making, starting and removing things.
pub(super) const CHANGE: Duration = Duration::from_secs(180);

impl Docker {
    /// Runs one request under a time limit. `action` completes the sentence
    /// "engine refused to ...".
    pub(super) async fn call<T>(
        &self,
        action: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(limit, request).await {
            Ok(result) => result.map_err(|error| self.error(action, error)),
            Err(_) => Err(EngineError::Timeout {
                action: action.to_owned(),
                limit,
            }),
        }
    }

    pub(super) fn error(&self, action: &str, error: Error) -> EngineError {
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => refused(action, Some(status_code), message.trim()),
            Error::HyperLegacyError { err } if err.is_connect() => EngineError::Unreachable {
                socket: self.socket.display().to_string(),
                source: Box::new(err),
            },
            Error::SocketNotFoundError(_) => EngineError::Unreachable {
                socket: self.socket.display().to_string(),
                source: Box::new(error),
            },
            other => refused(action, None, &innermost(&other)),
        }
    }
}

pub(super) fn refused(action: &str, status: Option<u16>, message: &str) -> EngineError {
    EngineError::Refused {
        action: action.to_owned(),
        status,
        message: message.to_owned(),
    }
}

/// Turns "not found" into `None`.
pub(super) fn absent<T>(result: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::Refused {
            status: Some(404), ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The deepest cause; the client's own words, such as "client error", say
/// nothing.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Names become parts of a request path; one with other characters would
/// address something else.
pub(super) fn checked<'a>(action: &str, name: &'a str) -> Result<&'a str, EngineError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.chars().all(plain) && !name.contains("..") && !name.contains("//") {
        Ok(name)
    } else {
        Err(refused(action, None, &format!("`{name}` is not a name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_the_request_are_refused() {
        for good in [
            "langfuse-web",
            "sha256:00ff",
            "docker.io/langfuse/langfuse:3.225.4",
            "127.0.0.1:5000/a_b@sha256:00",
        ] {
            assert_eq!(checked("look", good).unwrap(), good);
        }
        for bad in [
            "",
            "../info",
            "a/../b",
            "a?force=1",
            "a#b",
            "a b",
            "-a",
            "a//b",
            "a%2e",
        ] {
            assert!(checked("look", bad).is_err(), "{bad} was accepted");
        }
    }
}
