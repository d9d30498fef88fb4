//! Answers of registries: bounded, and what a refusal says.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::RequestError;
use crate::report::text::visible;

/// Bytes of the longest refusal that is read.
const REFUSAL_LIMIT: u64 = 16 << 10;
/// Characters of a refusal that are shown.
const REFUSAL_SHOWN: usize = 200;

/// What a refusal says, as far as it fits into a line.
pub(super) async fn refusal(response: Response) -> RequestError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = bounded(response, REFUSAL_LIMIT).await.unwrap_or_default();
    let said = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|body| {
            let first = body.get("errors")?.get(0)?;
            let text = first.get("message").filter(|text| !text.is_null());
            Some(text.or(first.get("code"))?.as_str()?.to_owned())
        })
        .unwrap_or_else(|| plain(&body));
    let said: String = visible(&said).chars().take(REFUSAL_SHOWN).collect();
    RequestError::Status {
        status,
        message: if said.is_empty() {
            said
        } else {
            format!(": {said}")
        },
        login: None,
        retry_after,
    }
}

/// The first line of a refusal that is neither JSON nor a page.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let is_text = !text.trim_start().starts_with(['<', '{', '[']);
    let first = text.lines().next().filter(|_| is_text);
    first.unwrap_or_default().trim().to_owned()
}

/// A body that has at most `limit` bytes.
pub(super) async fn bounded(mut response: Response, limit: u64) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(RequestError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(text).ok()?;
    date.timestamp()
        .duration_since(Timestamp::now())
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_may_ask_for_seconds_or_name_a_date() {
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert!(asked("Tue, 31 Dec 2999 23:59:59 GMT") > Some(Duration::from_secs(1 << 30)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(asked("soon"), None);
    }
}
