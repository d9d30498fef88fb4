//! One event through the whole stack: gateway, web, blob store, queue, worker,
//! `ClickHouse`, and back through the public API.
//!
//! An HTTP 200 or 207 for the event says only that web took it; it is the
//! reading back that counts. OTLP JSON with the ingestion header is taken by
//! both release lines; where it is read back differs.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Endpoint;
use crate::langfuse::http::{Basic, HttpError, Request};
use crate::stack::Line;
use crate::sys::text::one_line;

/// Name of the span that a probe leaves behind. It is also the environment of
/// the event, so that the web pages can filter it out.
pub const PROBE_NAME: &str = "lfctl-probe";

/// How long web may take to accept an event.
const INGEST_LIMIT: Duration = Duration::from_secs(10);
/// How long one look for the event may take.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Id of a trace: 128 bits, written as 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// A fresh random id.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn random() -> Result<Self, ProbeError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| ProbeError::Random(error.into()))?;
        Ok(Self(bytes))
    }

    /// The first half, as the id of the only span.
    fn span(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for TraceId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for TraceId {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

/// Why the event did not make it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No answer at all.
    #[error("langfuse web did not answer")]
    Http(#[source] HttpError),
    /// The API key is not valid.
    #[error("langfuse refused the project's api key with status {status}")]
    Unauthorized {
        /// HTTP status.
        status: u16,
    },
    /// Web did not take the event.
    #[error("langfuse did not take the event: status {status}, {body}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Beginning of the body.
        body: String,
    },
    /// Web took it, and it is nowhere to be found.
    #[error("the event was not readable within {} ms; the last look got {last}", limit.as_millis())]
    Missing {
        /// How long it was looked for.
        limit: Duration,
        /// What the last look got.
        last: String,
    },
    /// No id could be made.
    #[error("the operating system gave no random bytes")]
    Random(#[source] std::io::Error),
}

/// Sends one span. Returns how long web took to accept it.
pub async fn ingest(
    endpoint: &Endpoint,
    keys: &Basic,
    id: &TraceId,
) -> Result<Duration, ProbeError> {
    let body = span(id, Timestamp::now());
    let request = Request {
        basic: Some(keys),
        headers: &[("x-langfuse-ingestion-version", "4")],
        json: Some(&body),
        ..endpoint.request("/api/public/otel/v1/traces", INGEST_LIMIT)
    };
    let response = endpoint
        .client
        .send(&request)
        .await
        .map_err(ProbeError::Http)?;
    match response.status {
        status @ (401 | 403) => Err(ProbeError::Unauthorized { status }),
        200..=299 if rejected_spans(&response.body) == 0 => Ok(response.elapsed),
        status => Err(ProbeError::Rejected {
            status,
            body: one_line(&response.body),
        }),
    }
}

/// Looks for a trace until it is there. Returns how long that took; with a
/// short `limit` it answers whether an older event is still there.
pub async fn read_back(
    endpoint: &Endpoint,
    line: Line,
    keys: &Basic,
    id: &TraceId,
    limit: Duration,
) -> Result<Duration, ProbeError> {
    let path = match line {
        Line::V3 => format!("/api/public/traces/{id}"),
        Line::V4 => format!("/api/public/v2/observations?traceId={id}&fields=core,basic&limit=10"),
    };
    let started = Instant::now();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        let request = Request {
            basic: Some(keys),
            ..endpoint.request(&path, left.clamp(Duration::from_millis(500), READ_LIMIT))
        };
        let last = match endpoint.client.send(&request).await {
            Ok(response) => match response.status {
                200 if holds(line, &response.body, id) => return Ok(started.elapsed()),
                status @ (401 | 403) => return Err(ProbeError::Unauthorized { status }),
                status => format!("status {status}: {}", one_line(&response.body)),
            },
            Err(error @ (HttpError::Timeout { .. } | HttpError::Exchange { .. })) => {
                error.to_string()
            }
            Err(error) => return Err(ProbeError::Http(error)),
        };
        if started.elapsed() + POLL >= limit {
            return Err(ProbeError::Missing { limit, last });
        }
        tokio::time::sleep(POLL).await;
    }
}

fn span(id: &TraceId, now: Timestamp) -> Value {
    let end = now.as_nanosecond();
    // Long enough to have a width on the page that shows it.
    let start = end - 1_000_000;
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "lfctl"}},
            {"key": "langfuse.environment", "value": {"stringValue": PROBE_NAME}},
        ]},
        "scopeSpans": [{
            "scope": {"name": "lfctl", "version": env!("CARGO_PKG_VERSION")},
            "spans": [{
                "traceId": id.to_string(),
                "spanId": id.span(),
                "name": PROBE_NAME,
                "kind": 1,
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": end.to_string(),
                "attributes": [],
                "status": {},
            }],
        }],
    }]})
}

/// OTLP says in the body of a 200 how many spans it threw away.
fn rejected_spans(body: &str) -> u64 {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let count = &body["partialSuccess"]["rejectedSpans"];
    count
        .as_u64()
        .or_else(|| count.as_str()?.parse().ok())
        .unwrap_or(0)
}

fn holds(line: Line, body: &str, id: &TraceId) -> bool {
    let id = id.to_string();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    match line {
        Line::V3 => body["id"] == *id,
        Line::V4 => body["data"]
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["traceId"] == *id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::langfuse::canned::Canned;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn keys() -> Basic {
        Basic {
            user: "pk-lf-1".to_owned(),
            password: "sk-lf-1".to_owned().into(),
        }
    }

    fn id() -> TraceId {
        ID.parse().unwrap()
    }

    async fn look(line: Line, server: Canned, limit: u64) -> Result<Duration, ProbeError> {
        let server = server.start().await;
        let endpoint = Endpoint::loopback(server.address.port(), "x");
        read_back(
            &endpoint,
            line,
            &keys(),
            &id(),
            Duration::from_millis(limit),
        )
        .await
    }

    #[tokio::test]
    async fn sends_one_span_of_otlp_json() {
        let server = Canned::answer(200, "{}").start().await;
        let endpoint = Endpoint::loopback(server.address.port(), "x");
        ingest(&endpoint, &keys(), &id()).await.unwrap();
        let seen = server.seen();
        assert!(
            seen.starts_with("POST /api/public/otel/v1/traces HTTP/1.1\r\n"),
            "{seen}"
        );
        assert!(
            seen.contains("x-langfuse-ingestion-version: 4\r\n"),
            "{seen}"
        );
        let body: Value = serde_json::from_str(seen.split_once("\r\n\r\n").unwrap().1).unwrap();
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], ID);
        assert_eq!(span["spanId"], ID[..16]);
        assert_eq!(span["name"], "lfctl-probe");
        let nanos = |key: &str| span[key].as_str().unwrap().parse::<i128>().unwrap();
        assert!(nanos("startTimeUnixNano") < nanos("endTimeUnixNano"));
    }

    #[tokio::test]
    async fn a_refused_event_is_told_from_a_refused_key() {
        for (status, body, unauthorized) in [
            (401, "{}", true),
            (500, "Failed to upload JSON to S3", false),
            (200, r#"{"partialSuccess":{"rejectedSpans":"1"}}"#, false),
        ] {
            let server = Canned::answer(status, body).start().await;
            let endpoint = Endpoint::loopback(server.address.port(), "x");
            let error = ingest(&endpoint, &keys(), &id()).await.unwrap_err();
            assert_eq!(
                matches!(error, ProbeError::Unauthorized { .. }),
                unauthorized,
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn line_4_is_read_back_by_observations() {
        let row = format!(r#"{{"data":[{{"id":"x","traceId":"{ID}"}}],"meta":{{}}}}"#);
        let server = Canned::default().when(
            &format!("GET /api/public/v2/observations?traceId={ID}&"),
            &[(200, r#"{"data":[],"meta":{}}"#), (200, &row)],
        );
        look(Line::V4, server, 2000).await.unwrap();
    }

    #[tokio::test]
    async fn line_3_is_read_back_by_trace() {
        let trace = format!(r#"{{"id":"{ID}","name":"lfctl-probe"}}"#);
        let server = Canned::default().when(
            &format!("GET /api/public/traces/{ID} "),
            &[(404, "{}"), (200, &trace)],
        );
        look(Line::V3, server, 2000).await.unwrap();
    }

    #[tokio::test]
    async fn another_trace_is_not_taken_for_ours() {
        let other = r#"{"data":[{"traceId":"ffffffffffffffffffffffffffffffff"}]}"#;
        let error = look(Line::V4, Canned::answer(200, other), 120)
            .await
            .unwrap_err();
        let ProbeError::Missing { last, .. } = error else {
            panic!("{error}");
        };
        assert!(last.starts_with("status 200: "), "{last}");
    }

    #[tokio::test]
    async fn a_key_that_is_not_valid_ends_the_wait_at_once() {
        let started = Instant::now();
        let error = look(Line::V3, Canned::answer(401, "{}"), 60_000)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ProbeError::Unauthorized { status: 401 }),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn ids_are_random_and_written_as_hex() {
        let (one, two) = (TraceId::random().unwrap(), TraceId::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.to_string().len(), 32);
        assert_eq!(one.to_string().parse::<TraceId>().unwrap(), one);
        assert!("xyz".parse::<TraceId>().is_err());
    }
}
