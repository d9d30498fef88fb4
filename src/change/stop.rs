//! Ending services without losing what they hold.
//!
//! A Langfuse worker drains, says so, and never exits; a web server sits for
//! 110 s after SIGTERM whether it is busy or not. Both are told apart from a
//! hang by what the stack definition says of them.

use std::time::{Duration, Instant};

use crate::engine::{Container, ContainerEngine, ContainerState, EngineError};
use crate::stack::{Stack, Stage, Stop};

const POLL: Duration = Duration::from_millis(250);

/// The order in which services end: first what takes requests, then what
/// works on them, datastores last.
pub(super) fn order(stack: &Stack) -> Vec<&str> {
    [Stage::Edge, Stage::App, Stage::Data]
        .into_iter()
        .flat_map(|stage| {
            let mut names: Vec<_> = stack.stage(stage).map(|s| s.name.as_str()).collect();
            names.reverse();
            names
        })
        .collect()
}

/// Ends a container as its service wants it. Ended already is not an error.
pub(super) async fn stop<E: ContainerEngine>(
    engine: &E,
    container: &Container,
    rule: &Stop,
) -> Result<(), EngineError> {
    if !matches!(
        container.state,
        ContainerState::Running | ContainerState::Restarting
    ) {
        return Ok(());
    }
    let limit = Duration::from_secs(rule.timeout_seconds);
    if let Some(line) = &rule.done_when_logged
        && container.state == ContainerState::Running
    {
        let signal = rule.signal.as_deref().unwrap_or("SIGTERM");
        let since = jiff::Timestamp::now().as_second();
        engine.signal(&container.name, signal).await?;
        await_line(engine, &container.name, line, since, limit).await?;
        return engine.stop(&container.name, Duration::ZERO).await;
    }
    let Some(signal) = &rule.quick_signal else {
        return engine.stop(&container.name, limit).await;
    };
    // The stop comes first: it tells the engine not to start the container
    // again when the signal ends it.
    let hurry = async {
        tokio::time::sleep(POLL).await;
        engine.signal(&container.name, signal).await
    };
    let (stopped, hurried) = tokio::join!(engine.stop(&container.name, limit), hurry);
    stopped?;
    match hurried {
        // It had ended before the signal came.
        Err(EngineError::Refused { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn await_line<E: ContainerEngine>(
    engine: &E,
    name: &str,
    line: &str,
    since: i64,
    limit: Duration,
) -> Result<(), EngineError> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let ended = engine
            .container(name)
            .await?
            .is_none_or(|container| container.state != ContainerState::Running);
        if ended || engine.logs(name, 200, Some(since)).await?.contains(line) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
