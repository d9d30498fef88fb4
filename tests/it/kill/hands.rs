//! What people do to an upgrade that runs: Ctrl-C once and twice, and objects
//! that are removed by hand between two of its steps.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lfctl::bundle::manifest::UpgradeWay;

use super::bench::bundle;
use super::running::Running;
use super::{Count, at_every_line, say, stride};

/// Exit codes of an upgrade that was interrupted: it had ended, was undone, or
/// goes on when the command comes again.
const STOPPED: [i32; 3] = [0, 10, 12];
/// Of one that somebody got in the way of: it went through, was refused or
/// failed before it touched anything, or was undone.
const HINDERED: [i32; 6] = [0, 1, 5, 6, 7, 10];

fn interrupt(child: &mut Child) {
    let id = child.id().to_string();
    let _ = Command::new("kill").args(["-INT", &id]).output();
}

/// Fails unless the same command again ends on the new release.
fn ends_on_new(running: &mut Running, release: u32, line: usize) {
    let upgrade = bundle(release);
    running.bench.again(&running.upgrade(&upgrade), line);
    running.committed(release);
    running.is_whole(None, line);
}

/// What is done by hand, and what the same hand does once the upgrade ended:
/// lfctl leaves a tag alone that leads to another image than its own.
const DEEDS: [(&str, &str, &str); 8] = [
    ("web removed", "docker rm -f NAME-web", "true"),
    ("gateway removed", "docker rm -f NAME-gateway", "true"),
    ("worker removed", "docker rm -f NAME-worker", "true"),
    (
        "the new image removed",
        "docker rmi -f registry.test/NAME-app:NEW",
        "true",
    ),
    (
        "the new tag on another image",
        "docker tag registry.test/NAME-store:1 registry.test/NAME-app:NEW",
        "docker rmi registry.test/NAME-app:NEW",
    ),
    (
        "the newest container removed",
        "docker rm -f $(docker ps -aq --filter label=io.lfctl.appliance=NAME | head -1)",
        "true",
    ),
    (
        "gateway taken off its network",
        "docker network disconnect -f NAME-internal NAME-gateway",
        "true",
    ),
    ("the store stopped", "docker stop -t 1 NAME-store", "true"),
];

fn by_hand(running: &Running, deed: &str, release: u32) {
    let name = &running.bench.host.name;
    let deed = deed
        .replace("NAME", name)
        .replace("NEW", &release.to_string());
    // What is not there at that moment cannot be removed.
    let _ = Command::new("sh").args(["-c", &deed]).output().unwrap();
}

#[test]
#[ignore = "needs an engine"]
fn what_is_removed_by_hand_between_two_steps_does_not_keep_an_upgrade_from_its_end() {
    let lines = Running::new(UpgradeWay::Rolling).lines_of_an_upgrade();
    let step = stride() + 2;
    let count = Count::new("upgrade, objects removed by hand", lines).at_every(step);
    let undone = AtomicUsize::new(0);
    let make = || Running::new(UpgradeWay::Rolling);
    at_every_line(&count, make, |running, line| {
        let release = running.release + 1;
        running.bench.make(release);
        let (what, deed, back) = DEEDS[line / step % DEEDS.len()];
        let new = bundle(release);
        let upgrade = running.upgrade(&new);
        let struck = running
            .bench
            .strike(&upgrade, line, |_| by_hand(running, deed, release));
        count.struck(&struck);
        let code = struck.status.code().unwrap();
        let said = running.bench.said();
        assert!(
            HINDERED.contains(&code),
            "{what} after line {line}: {code}\n{said}"
        );
        undone.fetch_add(usize::from(code != 0), Ordering::Relaxed);
        by_hand(running, back, release);
        if !running.bench.runs(release) {
            return ends_on_new(running, release, line);
        }
        // Behind the commit, what is missing is made again by an install.
        running.committed(release);
        let install = running.bench.host.install(&new);
        running.bench.again(&install, line);
        running.is_whole(None, line);
    });
    count.report();
    let undone = undone.load(Ordering::Relaxed);
    say(&format!("{undone} of them did not go through at first"));
}

#[test]
#[ignore = "needs an engine"]
fn an_upgrade_that_is_interrupted_once_or_twice_is_finished_by_the_same_command() {
    let lines = Running::new(UpgradeWay::Rolling).lines_of_an_upgrade();
    let step = 3 * stride();
    let count = Count::new("upgrade, Ctrl-C", lines).at_every(step);
    let make = || Running::new(UpgradeWay::Rolling);
    at_every_line(&count, make, |running, line| {
        let release = running.release + 1;
        running.bench.make(release);
        let twice = line / step % 2 == 1;
        let new = bundle(release);
        let struck = running.bench.strike(&running.upgrade(&new), line, |child| {
            interrupt(child);
            if twice {
                std::thread::sleep(Duration::from_millis(300));
                interrupt(child);
            }
        });
        count.struck(&struck);
        let code = struck.status.code();
        assert!(
            code.is_some_and(|code| STOPPED.contains(&code)),
            "after line {line}: {code:?}\n{}",
            running.bench.said()
        );
        if code == Some(0) {
            running.committed(release);
            return running.is_whole(None, line);
        }
        ends_on_new(running, release, line);
    });
    count.report();
}
