//! Time limits of questions.

use std::time::Duration;

use super::Fact;
use crate::langfuse::query::QueryError;

/// Runs one question with a limit.
pub(super) async fn limited<T, E>(
    limit: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Fact<T>
where
    E: std::error::Error,
{
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => answer.into(),
        Err(_) => Err(QueryError::Timeout { limit }).into(),
    }
}

/// Runs blocking work beside the runtime, with a limit.
pub(super) async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Fact<T> {
    let question = async {
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    limited(limit, question).await
}
