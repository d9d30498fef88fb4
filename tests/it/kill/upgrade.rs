//! Upgrades of both ways, and their rollback, while a client sends events.

use std::sync::atomic::{AtomicUsize, Ordering};

use lfctl::bundle::manifest::UpgradeWay;

use super::bench::bundle;
use super::running::Running;
use super::{Count, at_every_line, say, stride};

/// What the recoveries between a kill and the same command came to.
#[derive(Default)]
struct Recoveries {
    /// Of those that were killed too.
    killed: AtomicUsize,
    ended_on_old: AtomicUsize,
    ended_on_new: AtomicUsize,
}

impl Recoveries {
    /// Fails unless both ways were gone.
    fn report(&self, command: &str) {
        let [killed, old, new] = [&self.killed, &self.ended_on_old, &self.ended_on_new]
            .map(|count| count.load(Ordering::Relaxed));
        let what = format!(
            "recover of {command}: killed {killed} times; {old} ended on the old release, {new} on the new one"
        );
        say(&what);
        assert!(killed > 0 && old > 0 && new > 0, "{what}");
    }
}

impl Running {
    /// Recovers, with a kill of its own, and tells on which release that ended.
    fn recovered(&mut self, release: u32, after: usize, recoveries: &Recoveries) {
        // Another line of the recovery each time.
        let killed = self.bench.kill(&self.recover(), 1 + after / 2 % 13);
        recoveries
            .killed
            .fetch_add(usize::from(killed.by_signal), Ordering::Relaxed);
        self.bench.again(&self.recover(), after);
        let is_new = self.answers() == release;
        let count = if is_new {
            self.committed(release);
            &recoveries.ended_on_new
        } else {
            &recoveries.ended_on_old
        };
        count.fetch_add(1, Ordering::Relaxed);
        // What was loaded waits for the next attempt.
        self.is_whole((!is_new).then_some(release), after);
    }
}

/// Kills an upgrade after each of its lines. Then the same command comes again,
/// or a recovery, which may end on either release; the next attempt goes on
/// from there.
fn at_every_line_of_an_upgrade(command: &str, way: UpgradeWay) {
    let lines = Running::new(way).lines_of_an_upgrade();
    let (count, recoveries) = (
        Count::new(command, lines).at_every(stride()),
        Recoveries::default(),
    );
    let make = || Running::new(way);
    at_every_line(&count, make, |running, line| {
        let release = running.release + 1;
        running.bench.make(release);
        let bundle = bundle(release);
        count.add(&running.bench.kill(&running.upgrade(&bundle), line));
        if line % 2 == 0 {
            return running.recovered(release, line, &recoveries);
        }
        running.bench.again(&running.upgrade(&bundle), line);
        running.committed(release);
        running.is_whole(None, line);
    });
    count.report();
    recoveries.report(command);
}

#[test]
#[ignore = "needs an engine"]
fn a_rolling_upgrade_that_is_killed_after_any_line_ends_on_one_release_and_loses_nothing() {
    at_every_line_of_an_upgrade("upgrade", UpgradeWay::Rolling);
}

#[test]
#[ignore = "needs an engine"]
fn a_cold_upgrade_that_is_killed_after_any_line_ends_on_one_release_and_loses_nothing() {
    at_every_line_of_an_upgrade("upgrade --cold", UpgradeWay::Cold);
}

/// One that was committed is finished by the same command, and not taken back.
#[test]
#[ignore = "needs an engine"]
fn a_rollback_that_is_killed_after_any_line_ends_on_one_release_and_loses_nothing() {
    let make = || {
        let mut running = Running::new(UpgradeWay::Rolling);
        running.bench.make(2);
        running.bench.host.ok(&running.upgrade(&bundle(2)));
        running.committed(2);
        running
    };
    let mut first = make();
    let lines = first.bench.count(&first.rollback());
    first.committed(1);
    first.is_whole(None, 0);
    drop(first);
    let (count, recoveries) = (
        Count::new("rollback", lines).at_every(stride()),
        Recoveries::default(),
    );
    at_every_line(&count, make, |running, line| {
        let release = running.previous[0];
        count.add(&running.bench.kill(&running.rollback(), line));
        if line % 2 == 0 {
            return running.recovered(release, line, &recoveries);
        }
        // One that reached its end would go back from there.
        if !running.bench.is_over() {
            running.bench.again(&running.rollback(), line);
        }
        running.committed(release);
        running.is_whole(None, line);
    });
    count.report();
    recoveries.report("rollback");
}
