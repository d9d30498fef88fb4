//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};

/// What comes of `work`, or `None` when lfctl was asked to stop before.
pub(super) async fn unless_asked_to_stop<T>(work: impl Future<Output = T>) -> Option<T> {
    unless(asked_to_stop(), work).await
}

async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // What is done is done, also when it was to be stopped just then.
        biased;
        done = work => Some(done),
        () = stop => None,
    }
}

/// Waits until the operator or the system asks lfctl to stop. Who asks between
/// the call and the first poll of what it returns is heard as well.
pub(super) fn asked_to_stop() -> impl Future<Output = ()> {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            // Without handlers the default holds: the process ends at once.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn what_is_done_is_done() {
        for _ in 0..100 {
            assert_eq!(unless(ready(()), ready(1)).await, Some(1));
        }
        assert_eq!(unless(ready(()), std::future::pending::<()>()).await, None);
    }
}
