//! Langfuse's update check, called through the real endpoint and judged.
//!
//! Each page load makes the web server ask the vendor for the newest release,
//! with no timeout and no switch. On a sealed host that must end at once and
//! harmlessly: HTTP 200 with `json: null`, one log line, web as well as
//! before. `null` alone proves nothing: a captive portal that answers rubbish
//! gives it too, and only the log tells them apart.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Endpoint, health, millis};
use crate::engine::{Container, ContainerEngine, EngineError};
use crate::langfuse::http::HttpError;
use crate::sys::text::one_line;

/// How long to wait for an answer. Dropped packets cost Langfuse 10 s; longer
/// waits mean a middlebox that accepts and stays silent.
pub const UPDATE_LIMIT: Duration = Duration::from_secs(35);

/// Slower than this, and users pay for it on every page.
const PROMPT: Duration = Duration::from_secs(1);
/// How long to wait for the log line: engines write logs a moment later.
const LOG_WAIT: Duration = Duration::from_secs(1);
const LOG_TAIL: usize = 2000;
const PATH: &str = "/api/trpc/public.checkUpdate";

const LOG_TAG: &str = "[trpc.public.checkUpdate]";
const LOG_FAILED: &str = "failed to fetch latest-release api";
const LOG_ANSWERED: [&str; 2] = ["does not match schema", "does not contain"];

/// What an update check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpdateVerdict {
    /// Blocked as expected: at once, logged, and web as well as before.
    Graceful,
    /// Blocked, but only after a second or more: packets are dropped.
    Slow,
    /// No answer within the limit: something outside takes connections and
    /// stays silent.
    Hung,
    /// An error instead of `null`, or web fell ill or restarted over it.
    Broken,
    /// The vendor, or somebody in its name, told a release.
    EgressOpen,
    /// Something answered, though no release: a proxy or captive portal.
    Answered,
    /// `null`, but web logged no failed call, so nothing shows that one was
    /// made and failed.
    Unproven,
}

impl std::fmt::Display for UpdateVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Graceful => "fails gracefully, blocked as expected",
            Self::Slow => "blocked, but slowly",
            Self::Hung => "hung",
            Self::Broken => "broken",
            Self::EgressOpen => "egress is open: it got an answer",
            Self::Answered => "something that is not the vendor answered",
            Self::Unproven => "nothing shows that it failed",
        })
    }
}

/// What is known about one update check. Plain values, so that judging is pure.
#[derive(Debug, Clone, Copy)]
pub struct UpdateEvidence<'a> {
    /// Status and body; `None` when nothing came within the limit.
    pub answer: Option<(u16, &'a str)>,
    /// How long the call took.
    pub elapsed: Duration,
    /// What web logged since the call began.
    pub log: &'a str,
    /// How often the engine had restarted web before the call.
    pub restarts_before: u64,
    /// How often after it.
    pub restarts_after: u64,
    /// Whether web was healthy after it.
    pub healthy_after: bool,
}

/// An update check with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateCheck {
    /// What it means.
    pub verdict: UpdateVerdict,
    /// HTTP status; `None` when nothing came within the limit.
    pub status: Option<u16>,
    /// Beginning of the body.
    pub body: String,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// What Langfuse logged about it.
    pub log_line: Option<String>,
}

/// Says what an update check means.
pub fn judge(evidence: &UpdateEvidence<'_>) -> UpdateVerdict {
    let Some((status, body)) = evidence.answer else {
        return UpdateVerdict::Hung;
    };
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let release = body.pointer("/result/data/json");
    match (status, release) {
        (200, Some(Value::Object(_))) => UpdateVerdict::EgressOpen,
        (200, Some(Value::Null)) => judge_null(evidence),
        _ => UpdateVerdict::Broken,
    }
}

fn judge_null(evidence: &UpdateEvidence<'_>) -> UpdateVerdict {
    let line = log_line(evidence.log).unwrap_or_default();
    if LOG_ANSWERED.iter().any(|words| line.contains(words)) {
        UpdateVerdict::Answered
    } else if !evidence.healthy_after || evidence.restarts_after > evidence.restarts_before {
        UpdateVerdict::Broken
    } else if evidence.elapsed >= PROMPT {
        UpdateVerdict::Slow
    } else if line.contains(LOG_FAILED) {
        UpdateVerdict::Graceful
    } else {
        UpdateVerdict::Unproven
    }
}

/// The worst line about the update check: that something answered outweighs
/// that something failed.
fn log_line(log: &str) -> Option<&str> {
    let told = |line: &&str| LOG_ANSWERED.iter().any(|words| line.contains(words));
    let lines = || log.lines().filter(|line| line.contains(LOG_TAG));
    lines().find(told).or_else(|| lines().next()).map(str::trim)
}

/// Calls the update check as a browser does, and watches web meanwhile.
///
/// # Errors
///
/// Nobody listens behind `endpoint`, so that no check was made. An answer that
/// breaks off in the middle is a verdict and not an error.
pub async fn update_check(
    engine: &impl ContainerEngine,
    endpoint: &Endpoint,
    web: &str,
    limit: Duration,
) -> Result<UpdateCheck, HttpError> {
    let before = Box::pin(BeforeCheck::look(engine, web)).await;
    let started = Instant::now();
    let answer = match endpoint.get(PATH, limit).await {
        Ok(response) => Some((response.status, response.body)),
        Err(HttpError::Timeout { .. }) => None,
        // Status 0: web took the call and broke off.
        Err(error @ (HttpError::Exchange { .. } | HttpError::TooLarge { .. })) => {
            Some((0, error.to_string()))
        }
        Err(error) => return Err(error),
    };
    let elapsed = started.elapsed();
    let is_healthy = async { health(endpoint).await.is_ok_and(|health| health.is_ok()) };
    Ok(Box::pin(before.judge(engine, answer, elapsed, is_healthy)).await)
}

/// What web had logged, and how often it had been restarted, before a check.
#[derive(Debug)]
pub struct BeforeCheck<'a> {
    web: &'a str,
    since: i64,
    lines: usize,
    restarts: u64,
}

impl<'a> BeforeCheck<'a> {
    /// Looks at the container `web`.
    pub async fn look(engine: &impl ContainerEngine, web: &'a str) -> Self {
        let since = Timestamp::now().as_second();
        let (container, log) = tokio::join!(
            engine.container(web),
            engine.logs(web, LOG_TAIL, Some(since))
        );
        Self {
            web,
            since,
            lines: log.unwrap_or_default().lines().count(),
            restarts: restarts(container),
        }
    }

    /// Judges what web answered, which took `elapsed`: status and body, status
    /// 0 where the connection broke off, `None` where nothing came in time.
    pub async fn judge(
        self,
        engine: &impl ContainerEngine,
        answer: Option<(u16, String)>,
        elapsed: Duration,
        healthy_after: impl Future<Output = bool>,
    ) -> UpdateCheck {
        let log = fresh_log(engine, self.web, self.since, self.lines).await;
        let (healthy_after, after) = tokio::join!(healthy_after, engine.container(self.web));
        let verdict = judge(&UpdateEvidence {
            answer: answer
                .as_ref()
                .map(|(status, body)| (*status, body.as_str())),
            elapsed,
            log: &log,
            restarts_before: self.restarts,
            restarts_after: restarts(after),
            healthy_after,
        });
        UpdateCheck {
            verdict,
            status: answer
                .as_ref()
                .map(|(status, _)| *status)
                .filter(|status| *status != 0),
            body: answer.map(|(_, body)| one_line(&body)).unwrap_or_default(),
            elapsed_ms: millis(elapsed),
            log_line: log_line(&log).map(one_line),
        }
    }
}

fn restarts(container: Result<Option<Container>, EngineError>) -> u64 {
    container.ok().flatten().map_or(0, |web| web.restarts)
}

/// What web logged after the first `skip` lines since `since`, as soon as a
/// line about the update check is among it.
async fn fresh_log(engine: &impl ContainerEngine, web: &str, since: i64, skip: usize) -> String {
    let started = Instant::now();
    loop {
        let log = engine
            .logs(web, LOG_TAIL, Some(since))
            .await
            .unwrap_or_default();
        let fresh = log.lines().skip(skip).collect::<Vec<_>>().join("\n");
        if log_line(&fresh).is_some() || started.elapsed() >= LOG_WAIT {
            return fresh;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::UpdateVerdict as V;
    use super::*;

    const NULL: &str = r#"{"result":{"data":{"json":null}}}"#;
    const OBJECT: &str =
        r#"{"result":{"data":{"json":{"updateType":null,"currentVersion":"v4.16.0"}}}}"#;
    const ERROR: &str = r#"{"error":{"json":{"message":"Invalid Version: latest","code":-32603}}}"#;
    const FAILED: &str =
        "2026-11-23T10:00:00Z error \t[trpc.public.checkUpdate] failed to fetch latest-release api";
    const SCHEMA: &str =
        "error [trpc.public.checkUpdate] Release API response is invalid, does not match schema";
    const OTHER: &str = "error [trpc.public.checkUpdate] Release API response is invalid, does not contain langfuse/langfuse";

    fn evidence(
        answer: Option<(u16, &'static str)>,
        ms: u64,
        log: &'static str,
    ) -> UpdateEvidence<'static> {
        UpdateEvidence {
            answer,
            elapsed: Duration::from_millis(ms),
            log,
            restarts_before: 2,
            restarts_after: 2,
            healthy_after: true,
        }
    }

    #[test]
    fn every_outcome_seen_on_real_servers_has_its_verdict() {
        for (answer, ms, log, verdict) in [
            (Some((200, NULL)), 12, FAILED, V::Graceful),
            (Some((200, NULL)), 870, FAILED, V::Graceful),
            (Some((200, NULL)), 1000, FAILED, V::Slow),
            (Some((200, NULL)), 10_040, FAILED, V::Slow),
            (None, 35_000, "", V::Hung),
            (Some((200, NULL)), 30, SCHEMA, V::Answered),
            (Some((200, NULL)), 30, OTHER, V::Answered),
            (Some((200, NULL)), 12_000, SCHEMA, V::Answered),
            (Some((200, OBJECT)), 200, "", V::EgressOpen),
            (Some((500, ERROR)), 30, "", V::Broken),
            (Some((502, "<html>Bad Gateway")), 30, "", V::Broken),
            (Some((200, "<html>welcome")), 30, FAILED, V::Broken),
            (
                Some((200, r#"{"result":{"data":{}}}"#)),
                30,
                FAILED,
                V::Broken,
            ),
            (Some((0, "broke off")), 30, "", V::Broken),
            (Some((200, NULL)), 12, "", V::Unproven),
            (
                Some((200, NULL)),
                12,
                "error something else failed to fetch latest-release api",
                V::Unproven,
            ),
        ] {
            assert_eq!(
                judge(&evidence(answer, ms, log)),
                verdict,
                "{answer:?} {ms} {log}"
            );
        }
    }

    #[test]
    fn a_web_that_fell_over_is_not_graceful() {
        let graceful = evidence(Some((200, NULL)), 12, FAILED);
        let ill = UpdateEvidence {
            healthy_after: false,
            ..graceful
        };
        let restarted = UpdateEvidence {
            restarts_after: 3,
            ..graceful
        };
        assert_eq!([judge(&ill), judge(&restarted)], [V::Broken, V::Broken]);
    }

    #[test]
    fn one_answer_among_failures_is_what_counts() {
        let log: &'static str = Box::leak(format!("{FAILED}\n{SCHEMA}\n{FAILED}").into_boxed_str());
        assert_eq!(judge(&evidence(Some((200, NULL)), 12, log)), V::Answered);
        assert_eq!(log_line(log), Some(SCHEMA));
    }
}
