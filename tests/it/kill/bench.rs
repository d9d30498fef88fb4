//! An appliance whose lfctl is killed, and what must be there of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::bundle::manifest::UpgradeWay;
use lfctl::sign::SecretKey;
use serde_json::Value;

use crate::support::appliance::{Releases, tags};
use crate::support::bundle::key;
use crate::support::host::Host;

/// Longer than any command takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(180);
/// Shorter than a step with its two lines takes.
const POLL: Duration = Duration::from_micros(500);

/// A host with releases to install, and what an engine should hold of them.
pub(super) struct Bench {
    pub(super) host: Host,
    releases: Releases,
    key: SecretKey,
    /// Tags of each release that was made, by number.
    tags: BTreeMap<u32, Vec<String>>,
}

/// How a command ended in which something happened.
pub(super) struct Struck {
    /// Lines that the journal had gained, at the most.
    pub(super) lines: usize,
    /// Whether it was at work at that moment.
    pub(super) was_alive: bool,
    pub(super) status: ExitStatus,
}

/// How a command ended that was to be killed.
pub(super) struct Killed {
    /// Lines that the journal had gained, at the most.
    pub(super) lines: usize,
    /// Whether it was the signal that ended it.
    pub(super) by_signal: bool,
}

impl Bench {
    /// With the first release, from which upgrades go `way`.
    pub(super) fn new(way: UpgradeWay) -> Self {
        Self::on(Host::beside_others(), way)
    }

    /// The same on a certain host.
    pub(super) fn on(host: Host, way: UpgradeWay) -> Self {
        let mut bench = Self {
            releases: Releases::of(&host, way),
            host,
            key: key(),
            tags: BTreeMap::new(),
        };
        bench.make(1);
        let key = bench.key.public().to_text();
        fs::write(bench.host.dir.path().join("key.pub"), key).unwrap();
        bench.host.ok(&["trust", "add", "key.pub"]);
        bench
    }

    /// Writes the bundle of a release.
    pub(super) fn make(&mut self, release: u32) {
        let fake = self.releases.release(release);
        self.tags.insert(release, tags(&fake));
        let path = self.host.dir.path().join(bundle(release));
        fake.write(&path, &self.key).unwrap();
    }

    /// Runs a command and kills it as soon as the journal has `lines` more.
    pub(super) fn kill(&self, arguments: &[&str], lines: usize) -> Killed {
        let struck = self.strike(arguments, lines, |child| {
            // Where it has ended by itself there is nobody to kill.
            child.kill().unwrap();
        });
        let status = struck.status;
        assert!(
            status.success() || status.signal() == Some(9),
            "{arguments:?}, to be killed after line {lines}: {status}"
        );
        Killed {
            lines: struck.lines,
            by_signal: status.signal().is_some(),
        }
    }

    /// Runs a command, and calls `blow` as soon as the journal has `lines`
    /// more or the command has ended.
    pub(super) fn strike(
        &self,
        arguments: &[&str],
        lines: usize,
        blow: impl FnOnce(&mut Child),
    ) -> Struck {
        let before = self.lines();
        let log = fs::File::create(self.told()).unwrap().into_file();
        let mut command = self.host.command(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        let (mut seen, mut bytes) = (0, 0);
        while seen < lines && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LIMIT, "{arguments:?} hangs");
            std::thread::sleep(POLL);
            let now = fs::metadata(self.journal()).map_or(0, |file| file.len());
            if now != std::mem::replace(&mut bytes, now) {
                seen = seen.max(self.lines().saturating_sub(before));
            }
        }
        let was_alive = child.try_wait().unwrap().is_none();
        blow(&mut child);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > LIMIT {
                child.kill().unwrap();
                panic!("{arguments:?} hangs: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // The last lines may have come while nobody looked.
        seen = seen.max(self.lines().saturating_sub(before));
        Struck {
            lines: seen,
            was_alive,
            status,
        }
    }

    fn told(&self) -> PathBuf {
        self.host.dir.path().join("stderr.log")
    }

    /// What the last command that was struck wrote to standard error.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.told()).unwrap_or_default()
    }

    /// Lines that the journal gains by a command that nobody kills.
    pub(super) fn count(&self, arguments: &[&str]) -> usize {
        let killed = self.kill(arguments, usize::MAX);
        assert!(!killed.by_signal);
        killed.lines
    }

    /// Runs a command after another, or the same, was killed.
    pub(super) fn again(&self, arguments: &[&str], after: usize) {
        let output = self.host.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?} behind a kill after line {after}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn journal(&self) -> PathBuf {
        self.host.state_dir().join("journal.jsonl")
    }

    /// Whole lines of the journal; none where it is gone.
    fn lines(&self) -> usize {
        let bytes = fs::read(self.journal()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches('\n').count()
    }

    /// Whether the last run reached its end.
    pub(super) fn is_over(&self) -> bool {
        let journal = fs::read_to_string(self.journal()).unwrap_or_default();
        let last = journal.lines().last().unwrap_or_default();
        last.contains(r#""record":"run-end","outcome":"complete""#)
    }

    /// Waits for a service that was started a moment ago.
    pub(super) fn await_healthy(&self) {
        let begun = Instant::now();
        while !Self::are_healthy(&self.status()) {
            assert!(begun.elapsed() < LIMIT, "{}", self.status());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn are_healthy(status: &Value) -> bool {
        let containers = status["containers"].as_array().unwrap();
        let mut each = containers.iter();
        containers.len() == 4
            && each.all(|one| one["state"] == "running" && one["health"] == "healthy")
    }

    /// Whether a release is the one that was committed last.
    pub(super) fn runs(&self, release: u32) -> bool {
        let recorded = self.status()["release"].to_string();
        recorded.ends_with(&format!(" 1.0.{release}\""))
    }

    pub(super) fn secrets(&self) -> Option<Vec<u8>> {
        fs::read(self.host.state_dir().join("secrets.toml")).ok()
    }

    /// Everything in the engine that is of this appliance.
    pub(super) fn in_engine(&self) -> BTreeSet<String> {
        let label = format!("label=io.lfctl.appliance={}", self.host.name);
        let of = |kind: &str, list: &[&str], name: &str| -> BTreeSet<String> {
            let format = format!("{kind} {name}");
            let filter = ["--filter", &label, "--format", &format];
            let listed = self.host.docker(&[list, &filter].concat());
            listed.lines().map(str::to_owned).collect()
        };
        let mut found = of("container", &["ps", "-a"], "{{.Names}}");
        found.extend(of("network", &["network", "ls"], "{{.Name}}"));
        found.extend(of("volume", &["volume", "ls"], "{{.Name}}"));
        let images = self
            .host
            .docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let ours = |tag: &&str| tag.contains(&format!("/{}-", self.host.name));
        found.extend(
            images
                .lines()
                .filter(ours)
                .map(|tag| format!("image {tag}")),
        );
        found
    }

    /// What is there when one release is installed and the images of others
    /// are kept.
    pub(super) fn installed(&self, releases: &[u32]) -> BTreeSet<String> {
        let name = &self.host.name;
        let parts = |kind: &str, parts: &[&str]| -> Vec<String> {
            let named = parts.iter().map(|part| format!("{kind} {name}-{part}"));
            named.collect()
        };
        let mut all = self.data();
        all.extend(parts("container", &["store", "web", "worker", "gateway"]));
        all.extend(parts("network", &["internal", "edge"]));
        let tags = releases.iter().flat_map(|release| &self.tags[release]);
        all.extend(tags.map(|tag| format!("image {tag}")));
        all
    }

    /// What is there when it was uninstalled and its data was kept.
    pub(super) fn data(&self) -> BTreeSet<String> {
        [format!("volume {}-store-data", self.host.name)].into()
    }

    /// Fails unless a release is installed, whole and well, and nothing else
    /// is there but the images of those in `kept`, and perhaps those of one
    /// that was `staged`.
    pub(super) fn is_well(&self, release: u32, kept: &[u32], staged: Option<u32>, after: usize) {
        let wanted = self.installed(&[&[release], kept].concat());
        let staged: Vec<_> = staged.into_iter().collect();
        let may = self.installed(&[&[release], kept, &staged].concat());
        let mut found = self.in_engine();
        found.retain(|one| wanted.contains(one) || !may.contains(one));
        assert_eq!(found, wanted, "after line {after}");
        let status = self.status();
        assert_eq!(status["status"], "installed", "{status}");
        assert_eq!(status["unfinished"], Value::Null, "{status}");
        assert!(Self::are_healthy(&status), "{status}");
        let (bundle, name) = (bundle(release), &self.host.name);
        self.host
            .ok(&["verify", "--running", &bundle, "--name", name]);
    }

    pub(super) fn status(&self) -> Value {
        let name = &self.host.name;
        let status = self.host.ok(&["status", "--json", "--name", name]);
        let mut all: Vec<Value> = serde_json::from_str(&status).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

/// The bundle of a release, as the bench writes it.
pub(super) fn bundle(release: u32) -> String {
    format!("release-{release}.tar")
}
