//! Backups while a client sends events, and restores.

use std::path::PathBuf;

use lfctl::bundle::manifest::UpgradeWay;
use serde_json::Value;

use super::running::Running;
use super::{Count, at_every_line, stride};

/// An appliance with a repository.
struct Keeper {
    running: Running,
}

impl Keeper {
    fn new() -> Self {
        Self {
            running: Running::new(UpgradeWay::Rolling),
        }
    }

    /// With a snapshot of all that it ever accepts.
    fn kept() -> Self {
        let mut keeper = Self::new();
        keeper.running.client.stop();
        let host = &keeper.running.bench.host;
        host.ok(&keeper.create());
        let password = host.state_dir().join("backup-password");
        fs_err::copy(password, host.dir.path().join("password.txt")).unwrap();
        keeper
    }

    fn named<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let name = &self.running.bench.host.name;
        [words, &["--name", name]].concat()
    }

    fn create(&self) -> Vec<&str> {
        self.named(&["backup", "create", "--to", "repository"])
    }

    fn restore(&self) -> Vec<&str> {
        let from = ["--from", "repository", "--password-file", "password.txt"];
        self.named(&[&["restore", "release-1.tar"], &from[..]].concat())
    }

    fn repository(&self) -> PathBuf {
        self.running.bench.host.dir.path().join("repository")
    }

    fn snapshots(&self) -> usize {
        let list = self.named(&["backup", "list", "--json"]);
        let list = self.running.bench.host.ok(&list);
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        list.len()
    }

    /// Fails if the stores hold anything of a backup, or the worker is paused.
    fn is_as_before(&self, after: usize) {
        self.running.bench.await_healthy();
        self.running.is_whole(None, after);
        let left = "ls -d /data/shadow/lfctl_* /data/lfctl-backup.rdb 2> /dev/null || true";
        assert_eq!(self.running.in_store(left), "", "after line {after}");
    }
}

#[test]
#[ignore = "needs an engine"]
fn a_backup_that_is_killed_after_any_line_leaves_nothing_and_the_next_one_succeeds() {
    let first = Keeper::new();
    let bench = &first.running.bench;
    let lines = bench.count(&first.create());
    first.is_as_before(0);
    drop(first);
    let count = Count::new("backup create", lines).at_every(stride());
    at_every_line(&count, Keeper::new, |keeper, line| {
        let bench = &keeper.running.bench;
        count.add(&bench.kill(&keeper.create(), line));
        if line % 2 == 0 {
            bench.again(&keeper.running.recover(), line);
            keeper.is_as_before(line);
        }
        bench.again(&keeper.create(), line);
        keeper.is_as_before(line);
        assert!(keeper.snapshots() > 0, "after line {line}");
        let locks = fs_err::read_dir(keeper.repository().join("locks")).unwrap();
        assert_eq!(locks.count(), 0, "after line {line}");
        let verify = keeper.named(&["backup", "verify"]);
        bench.host.ok(&verify);
    });
    count.report();
}

/// On a host that has nothing, and on one that has other data.
#[test]
#[ignore = "needs an engine"]
fn a_restore_that_is_killed_after_any_line_is_finished_by_the_next_run() {
    let first = Keeper::kept();
    let replace = [&first.restore()[..], &["--replace-data"]].concat();
    let lines = first.running.bench.count(&replace);
    first.is_as_before(0);
    drop(first);
    let count = Count::new("restore", lines).at_every(stride());
    at_every_line(&count, Keeper::kept, |keeper, line| {
        let bench = &keeper.running.bench;
        let secrets = bench.secrets();
        let mut restore = keeper.restore();
        if line % 2 == 0 {
            bench
                .host
                .ok(&keeper.named(&["uninstall", "--purge", "--yes"]));
        } else {
            restore.push("--replace-data");
        }
        count.add(&bench.kill(&restore, line));
        // One that reached its end would begin anew.
        if !bench.is_over() {
            bench.again(&restore, line);
        }
        keeper.is_as_before(line);
        assert_eq!(bench.secrets(), secrets, "after line {line}");
        assert!(bench.host.state_dir().join("backup-password").exists());
    });
    count.report();
}
