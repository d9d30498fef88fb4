//! `kill -9` after every line of the journal, on a real engine: the same
//! command again comes to the same end as one that nobody killed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bench::{Killed, Struck};

mod backup;
mod bench;
mod hands;
mod install;
mod outage;
mod running;
mod upgrade;

/// Appliances in which a command is killed at the same time. Each mostly waits
/// for a health check.
const APPLIANCES: usize = 3;

/// How often a command was killed in a loop over its lines.
struct Count<'a> {
    command: &'a str,
    lines: usize,
    /// Every how many-th of them is a kill point.
    stride: usize,
    begun: Instant,
    points: AtomicUsize,
    /// The rest had ended by itself before the signal came.
    alive: AtomicUsize,
}

impl<'a> Count<'a> {
    fn new(command: &'a str, lines: usize) -> Self {
        assert!(lines >= 10, "only {lines} lines of {command} were seen");
        Self {
            command,
            lines,
            stride: 1,
            begun: Instant::now(),
            points: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
        }
    }

    /// Only every `stride`-th line is a kill point.
    fn at_every(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    fn add(&self, killed: &Killed) {
        self.points.fetch_add(1, Ordering::Relaxed);
        let alive = usize::from(killed.by_signal);
        self.alive.fetch_add(alive, Ordering::Relaxed);
    }

    fn struck(&self, struck: &Struck) {
        self.points.fetch_add(1, Ordering::Relaxed);
        let alive = usize::from(struck.was_alive);
        self.alive.fetch_add(alive, Ordering::Relaxed);
    }

    fn report(&self) {
        let (points, alive) = (
            self.points.load(Ordering::Relaxed),
            self.alive.load(Ordering::Relaxed),
        );
        let line = format!(
            "{}: {} lines, {points} kill points, {alive} times before it had ended, {} s",
            self.command,
            self.lines,
            self.begun.elapsed().as_secs(),
        );
        say(&line);
        // Right after the last lines a command ends by itself.
        let wanted = (1..=self.lines).step_by(self.stride).count();
        assert!(points == wanted && alive + 3 >= points, "{line}");
    }
}

/// Every how many-th line of the longer commands is a kill point: each one,
/// unless `LFCTL_KILL_STRIDE` says otherwise.
fn stride() -> usize {
    let given = std::env::var("LFCTL_KILL_STRIDE").ok();
    given.map_or(1, |given| given.parse().unwrap())
}

/// Prints a line past the capture of the test harness.
fn say(line: &str) {
    use std::io::Write;
    let line = format!("\n{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Calls `at` with the lines of `count` that are kill points, in several
/// appliances at once that `make` makes.
fn at_every_line<B>(
    count: &Count<'_>,
    make: impl Fn() -> B + Sync,
    at: impl Fn(&mut B, usize) + Sync,
) {
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        for _ in 0..APPLIANCES {
            scope.spawn(|| {
                let mut bench = make();
                loop {
                    let line = next.fetch_add(count.stride, Ordering::Relaxed);
                    if line > count.lines {
                        break;
                    }
                    at(&mut bench, line);
                }
            });
        }
    });
}
