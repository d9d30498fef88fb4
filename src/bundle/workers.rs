//! Reading many things on all cores, with progress and an early end, and
//! work of minutes during which a Ctrl-C is still heard.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::report::event::{Event, Reporter, Step};

/// Bytes that a worker holds.
pub(super) const CHUNK: usize = 256 << 10;
/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(100);

/// What the workers share.
#[derive(Debug, Default)]
pub(super) struct Watch {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    /// Counts bytes that were read.
    pub(super) fn count(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether another worker failed, so that the rest does not matter.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs `work` in a thread of its own. Dropping the future leaves the thread
/// to end by itself, so `work` must not own what a drop has to clean up.
pub(super) async fn run_blocking<R: Send + 'static>(
    reporter: &dyn Reporter,
    work: impl FnOnce(&dyn Reporter) -> R + Send + 'static,
) -> Result<R, tokio::task::JoinError> {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let work = tokio::task::spawn_blocking(move || work(&Forward(sender)));
    while let Some(event) = events.recv().await {
        reporter.event(&event);
    }
    match work.await {
        // A bug stays one, whatever the caller makes of errors.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        result => result,
    }
}

/// Carries events out of a worker thread.
struct Forward(tokio::sync::mpsc::UnboundedSender<Event>);

impl Reporter for Forward {
    fn event(&self, event: &Event) {
        // Nobody listens any more once the caller has gone.
        let _ = self.0.send(event.clone());
    }
}

/// Works through `items` from the end, one worker a core, and ends all of
/// them with the first that fails. Results come in no order.
pub(super) fn run<T: Send, R: Send, E: Send>(
    items: Vec<T>,
    progress: &Step<'_>,
    work: impl Fn(T, &Watch) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    let queue = Mutex::new(items);
    let watch = Watch::default();
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let (queue, watch, work) = (&queue, &watch, &work);
            scope.spawn(move || {
                while !watch.is_over() {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                    let Some(item) = next else { break };
                    if sender.send(work(item, watch)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut done = Vec::new();
        let verdict = loop {
            match results.recv_timeout(TICK) {
                Ok(Err(error)) => break Err(error),
                Err(RecvTimeoutError::Disconnected) => break Ok(done),
                Ok(Ok(result)) => done.push(result),
                Err(RecvTimeoutError::Timeout) => {}
            }
            progress.progress(watch.done.load(Ordering::Relaxed));
        };
        watch.stop.store(true, Ordering::Relaxed);
        verdict
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::Silent;

    #[test]
    fn a_panic_of_the_work_is_one_of_its_caller() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let run = || runtime.block_on(run_blocking(&Silent, |_| -> () { panic!("a bug") }));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
    }
}
