//! An install, an uninstall and a purge.

use std::collections::BTreeSet;

use lfctl::bundle::manifest::UpgradeWay;
use serde_json::Value;

use super::bench::{Bench, bundle};
use super::{Count, at_every_line};

struct Installer(Bench);

impl Installer {
    fn new() -> Self {
        Self(Bench::new(UpgradeWay::Rolling))
    }

    /// Also where nothing is left to be uninstalled, as after the last line.
    fn uninstall(&self) -> Vec<&str> {
        let name = &self.0.host.name;
        vec!["uninstall", "--if-installed", "--yes", "--name", name]
    }

    fn purge(&self) -> Vec<&str> {
        [&self.uninstall()[..], &["--purge"]].concat()
    }
}

#[test]
#[ignore = "needs an engine"]
fn an_install_or_a_purge_that_is_killed_after_any_line_is_finished_by_the_next_run() {
    let release = bundle(1);
    let first = Installer::new();
    let lines = first.0.count(&first.0.host.install(&release));
    first.0.is_well(1, &[], None, 0);
    let purge_lines = first.0.count(&first.purge());
    assert!(
        lines >= purge_lines,
        "{lines} lines are fewer than {purge_lines}"
    );
    let installs = Count::new("install", lines);
    let purges = Count::new("uninstall --purge", purge_lines);
    at_every_line(&installs, Installer::new, |installer, line| {
        let (bench, purge) = (&installer.0, installer.purge());
        let install = bench.host.install(&release);
        installs.add(&bench.kill(&install, line));
        let secrets = bench.secrets();
        bench.again(&install, line);
        bench.is_well(1, &[], None, line);
        if secrets.is_some() {
            assert_eq!(bench.secrets(), secrets, "after line {line}");
        }
        if line <= purge_lines {
            purges.add(&bench.kill(&purge, line));
        }
        bench.again(&purge, line);
        assert_eq!(bench.in_engine(), BTreeSet::new(), "after line {line}");
        assert!(!bench.host.state_dir().exists(), "after line {line}");
    });
    installs.report();
    purges.report();
}

#[test]
#[ignore = "needs an engine"]
fn an_uninstall_that_is_killed_after_any_line_is_finished_by_the_next_run() {
    let release = bundle(1);
    let first = Installer::new();
    first.0.host.ok(&first.0.host.install(&release));
    let lines = first.0.count(&first.uninstall());
    let count = Count::new("uninstall", lines);
    at_every_line(&count, Installer::new, |installer, line| {
        let (bench, uninstall) = (&installer.0, installer.uninstall());
        bench.host.ok(&bench.host.install(&release));
        let secrets = bench.secrets();
        count.add(&bench.kill(&uninstall, line));
        bench.again(&uninstall, line);
        assert_eq!(bench.in_engine(), bench.data(), "after line {line}");
        assert_eq!(bench.secrets(), secrets, "after line {line}");
        let status = bench.status();
        assert_eq!(status["status"], "uninstalled", "{status}");
        assert_eq!(status["unfinished"], Value::Null, "{status}");
    });
    count.report();
}
