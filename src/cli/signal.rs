//! Ctrl-C, SIGTERM, and the limit for the size of files.

use rustix::process::Signal;
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

/// Makes a file that outgrows the limit of this process (`ulimit -f`) an error
/// like any other. By default the signal that comes with it ends the process,
/// and the file stays behind half written.
pub(super) fn outlive_size_limit() {
    // The handler stays for as long as the process runs. Without it the
    // default holds.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
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
