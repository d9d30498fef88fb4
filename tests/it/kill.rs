//! `kill -9` after every line of the journal, on a real engine: the same
//! command again comes to the same end as one that nobody killed.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::support::appliance::{quick, tags};
use crate::support::bundle::key;
use crate::support::host::{Host, docker};

/// Longer than any command takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(180);
const BUNDLE: &str = "release.tar";

/// A host with a release to install, and what an engine should hold of it.
struct Bench {
    host: Host,
    tags: Vec<String>,
}

/// How a command ended that was to be killed.
struct Killed {
    /// Lines that the journal had gained, at the most.
    lines: usize,
    /// Whether it was the signal that ended it.
    by_signal: bool,
}

/// How often a command was killed in a loop over its lines.
#[derive(Default)]
struct Count {
    points: usize,
    /// The rest had ended by itself before the signal came.
    alive: usize,
}

impl Count {
    fn add(&mut self, killed: &Killed) {
        self.points += 1;
        self.alive += usize::from(killed.by_signal);
    }
}

impl Bench {
    fn new() -> Self {
        let host = Host::beside_others();
        let key = key();
        let release = quick(&host);
        let tags = tags(&release);
        release.write(&host.dir.path().join(BUNDLE), &key).unwrap();
        fs::write(host.dir.path().join("key.pub"), key.public().to_text()).unwrap();
        host.ok(&["trust", "add", "key.pub"]);
        Self { host, tags }
    }

    fn install(&self) -> Vec<&str> {
        self.host.install(BUNDLE)
    }

    /// Also where nothing is left to be uninstalled, as after the last line.
    fn uninstall(&self) -> Vec<&str> {
        let name = &self.host.name;
        vec!["uninstall", "--if-installed", "--yes", "--name", name]
    }

    fn purge(&self) -> Vec<&str> {
        [&self.uninstall()[..], &["--purge"]].concat()
    }

    fn journal(&self) -> PathBuf {
        self.host.state_dir().join("journal.jsonl")
    }

    /// Whole lines of the journal; none where it is gone.
    fn lines(&self) -> usize {
        let bytes = fs::read(self.journal()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches('\n').count()
    }

    fn secrets(&self) -> Option<Vec<u8>> {
        fs::read(self.host.state_dir().join("secrets.toml")).ok()
    }

    /// Runs a command and kills it as soon as the journal has `lines` more.
    fn kill(&self, arguments: &[&str], lines: usize) -> Killed {
        let before = self.lines();
        let mut command = self.host.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        let mut seen = 0;
        while seen < lines && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LIMIT, "{arguments:?} hangs");
            seen = seen.max(self.lines().saturating_sub(before));
            std::thread::sleep(Duration::from_micros(200));
        }
        let status = end(&mut child);
        assert!(
            status.success() || status.signal() == Some(9),
            "{arguments:?}, to be killed after line {lines}: {status}"
        );
        Killed {
            lines: seen,
            by_signal: status.signal().is_some(),
        }
    }

    /// Lines that the journal gains by a command that nobody kills.
    fn count(&self, arguments: &[&str]) -> usize {
        let killed = self.kill(arguments, usize::MAX);
        assert!(!killed.by_signal);
        killed.lines
    }

    /// Runs the same command again after it was killed.
    fn again(&self, arguments: &[&str], after: usize) {
        let output = self.host.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}, killed after line {after} and run again: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Everything in the engine that is of this appliance.
    fn in_engine(&self) -> BTreeSet<String> {
        let label = format!("label=io.lfctl.appliance={}", self.host.name);
        let named = format!("reference=registry.test/{}-*", self.host.name);
        let lists: [&[&str]; 4] = [
            &[
                "ps",
                "-a",
                "--filter",
                &label,
                "--format",
                "container {{.Names}}",
            ],
            &[
                "network",
                "ls",
                "--filter",
                &label,
                "--format",
                "network {{.Name}}",
            ],
            &[
                "volume",
                "ls",
                "--filter",
                &label,
                "--format",
                "volume {{.Name}}",
            ],
            &[
                "image",
                "ls",
                "--filter",
                &named,
                "--format",
                "image {{.Repository}}:{{.Tag}}",
            ],
        ];
        let mut found: BTreeSet<String> = lists
            .iter()
            .flat_map(|list| docker(list).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        // Tags of ours that no list by name would show.
        for tag in &self.tags {
            let filter = format!("reference={tag}");
            if !docker(&["image", "ls", "-q", "--filter", &filter]).is_empty() {
                found.insert(format!("image {tag}"));
            }
        }
        found
    }

    /// What is there when the appliance is installed.
    fn installed(&self) -> BTreeSet<String> {
        let name = &self.host.name;
        let parts = |kind: &str, parts: &[&str]| -> Vec<String> {
            let named = parts.iter().map(|part| format!("{kind} {name}-{part}"));
            named.collect()
        };
        let mut all = parts("container", &["store", "web", "worker", "gateway"]);
        all.extend(parts("network", &["internal", "edge"]));
        all.extend(self.data());
        all.extend(self.tags.iter().map(|tag| format!("image {tag}")));
        all.into_iter().collect()
    }

    /// What is there when it was uninstalled and its data was kept.
    fn data(&self) -> BTreeSet<String> {
        [format!("volume {}-store-data", self.host.name)].into()
    }

    /// Fails unless the appliance is installed, whole and well.
    fn is_well(&self, after: usize) {
        assert_eq!(self.in_engine(), self.installed(), "after line {after}");
        let status = self.status();
        assert_eq!(status["status"], "installed", "{status}");
        assert_eq!(status["unfinished"], Value::Null, "{status}");
        let containers = status["containers"].as_array().unwrap();
        let are_healthy = containers.iter().all(|one| one["health"] == "healthy");
        assert!(containers.len() == 4 && are_healthy, "{status}");
        let name = &self.host.name;
        self.host
            .ok(&["verify", "--running", BUNDLE, "--name", name]);
    }

    fn status(&self) -> Value {
        let name = &self.host.name;
        let status = self.host.ok(&["status", "--json", "--name", name]);
        let mut all: Vec<Value> = serde_json::from_str(&status).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn end(child: &mut Child) -> std::process::ExitStatus {
    // Where it has ended by itself there is nobody to kill.
    child.kill().unwrap();
    child.wait().unwrap()
}

#[test]
#[ignore = "needs an engine"]
fn an_install_or_a_purge_that_is_killed_after_any_line_is_finished_by_the_next_run() {
    let bench = Bench::new();
    let lines = bench.count(&bench.install());
    assert!(lines >= 30, "only {lines} lines of an install were seen");
    bench.is_well(0);
    let purge_lines = bench.count(&bench.purge());
    assert!(purge_lines >= 10, "only {purge_lines} lines of a purge");
    let (mut installs, mut purges) = (Count::default(), Count::default());
    assert!(
        lines >= purge_lines,
        "{lines} lines are fewer than {purge_lines}"
    );
    for line in 1..=lines {
        installs.add(&bench.kill(&bench.install(), line));
        let secrets = bench.secrets();
        bench.again(&bench.install(), line);
        bench.is_well(line);
        if secrets.is_some() {
            assert_eq!(bench.secrets(), secrets, "after line {line}");
        }
        let killed = bench.kill(&bench.purge(), line.min(purge_lines));
        if line <= purge_lines {
            purges.add(&killed);
        }
        bench.again(&bench.purge(), line);
        assert_eq!(bench.in_engine(), BTreeSet::new(), "after line {line}");
        assert!(!bench.host.state_dir().exists(), "after line {line}");
    }
    report("install", lines, &installs);
    report("uninstall --purge", purge_lines, &purges);
}

#[test]
#[ignore = "needs an engine"]
fn an_uninstall_that_is_killed_after_any_line_is_finished_by_the_next_run() {
    let bench = Bench::new();
    bench.host.ok(&bench.install());
    let secrets = bench.secrets();
    let lines = bench.count(&bench.uninstall());
    assert!(lines >= 10, "only {lines} lines of an uninstall were seen");
    let mut count = Count::default();
    for line in 1..=lines {
        bench.host.ok(&bench.install());
        count.add(&bench.kill(&bench.uninstall(), line));
        bench.again(&bench.uninstall(), line);
        assert_eq!(bench.in_engine(), bench.data(), "after line {line}");
        assert_eq!(bench.secrets(), secrets, "after line {line}");
        let status = bench.status();
        assert_eq!(status["status"], "uninstalled", "{status}");
        assert_eq!(status["unfinished"], Value::Null, "{status}");
    }
    report("uninstall", lines, &count);
}

/// Says how often a command was killed, past the capture of the test harness.
fn report(command: &str, lines: usize, count: &Count) {
    use std::io::Write;
    let Count { points, alive } = count;
    let line = format!(
        "\n{command}: {lines} lines, {points} kill points, {alive} times before it had ended\n"
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    // Right after the last lines a command ends by itself.
    assert!(alive + 3 >= lines, "{line}");
}
