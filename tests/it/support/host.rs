//! A host of its own for each test: directories below a temporary root, an
//! appliance name and a port that nobody else uses. Whatever the test leaves
//! in the engine is removed when it ends, also by a panic.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use lfctl::appliance::Appliance;
use lfctl::appliance::generation::{Generation, stack_bytes};
use lfctl::appliance::state::{Recorded, SCHEMA, State, Status};
use lfctl::bundle::spec::BundleSpec;
use lfctl::engine::EngineKind;
use lfctl::oci::digest::Digest;
use lfctl::sys::paths::Paths;
use serde_json::Value;

use super::island::Island;
use super::schema;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Appliances on one engine share images, so that one at a time is there.
static ENGINE: Mutex<()> = Mutex::new(());

/// Where `scripts/rehearse` left bundles and keys.
pub(crate) fn rehearsal() -> PathBuf {
    std::env::var_os("LFCTL_REHEARSAL").map_or_else(
        || panic!("no rehearsal bundles: run the tests by `scripts/test`"),
        PathBuf::from,
    )
}

/// A host with one appliance on it.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Where it has an engine and a network of its own.
    pub(crate) island: Option<Island>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Host {
    /// A host that trusts the rehearsal's key and has a site.toml.
    pub(crate) fn ready() -> Self {
        let host = Self::bare();
        host.ok(&["trust", "add", &text(&rehearsal().join("keys/release.pub"))]);
        host
    }

    /// A host on an island, that trusts nobody.
    pub(crate) fn on(island: Island) -> Self {
        let mut host = Self::new(None);
        host.island = Some(island);
        host
    }

    /// A host that trusts nobody.
    pub(crate) fn bare() -> Self {
        let alone = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::new(Some(alone))
    }

    /// The same beside others, for releases whose images nobody else has.
    pub(crate) fn beside_others() -> Self {
        Self::new(None)
    }

    fn new(alone: Option<MutexGuard<'static, ()>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Self {
            dir: tempfile::tempdir().unwrap(),
            name: format!(
                "t{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            ),
            port: listener.local_addr().unwrap().port(),
            island: None,
            _alone: alone,
        };
        fs::write(host.site(), host.site_text()).unwrap();
        host
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.dir.path().join("site.toml")
    }

    pub(crate) fn site_text(&self) -> String {
        format!(
            "schema = 1\nurl = \"http://localhost:{0}\"\nlisten = \"127.0.0.1:{0}\"\n\n\
             [admin]\nemail = \"admin@example.com\"\nname = \"Admin\"\n",
            self.port
        )
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root().join("var/lib/lfctl").join(&self.name)
    }

    /// lfctl on this host.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let lfctl = env!("CARGO_BIN_EXE_lfctl");
        let mut command = match &self.island {
            Some(island) => island.command(lfctl, &[]),
            None => Command::new(lfctl),
        };
        command.args(arguments).arg("--root").arg(self.root());
        command.env("NO_COLOR", "1").current_dir(self.dir.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        schema::check(arguments, &output.stdout);
        output
    }

    /// Runs lfctl, which must succeed, and returns its stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "lfctl {arguments:?}: {}\n{}",
            output.status,
            both(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs lfctl, which must fail with `code`, and returns its stderr.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "lfctl {arguments:?}:\n{}",
            both(&output)
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a command that changes the appliance, which must do the steps that
    /// its dry run names, and no others.
    pub(crate) fn ok_as_planned(&self, arguments: &[&str]) -> String {
        let plan = self.ok(&[arguments, &["--dry-run", "--json"]].concat());
        let plan: Vec<Value> = plan
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["event"] == "plan")
            .collect();
        let [plan] = &plan[..] else {
            panic!("{arguments:?} prints {} plans", plan.len());
        };
        let planned = plan["steps"].as_array().unwrap().iter();
        let planned: Vec<_> = planned
            .filter(|step| step["done"] == false)
            .map(step_of)
            .collect();
        let told = self.ok(arguments);
        let journal = fs::read_to_string(self.state_dir().join("journal.jsonl")).unwrap();
        let lines: Vec<Value> = journal
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let last = lines
            .iter()
            .rposition(|line| line["record"] == "run-begin")
            .unwrap();
        let begun = lines[last..]
            .iter()
            .filter(|line| line["record"] == "step-begin");
        let done: Vec<_> = begun.map(|line| step_of(&line["what"])).collect();
        assert_eq!(done, planned, "lfctl {arguments:?}");
        told
    }

    /// Arguments that install `bundle` here.
    pub(crate) fn install<'a>(&'a self, bundle: &'a str) -> Vec<&'a str> {
        vec![
            "install",
            "--offline",
            bundle,
            "--site",
            "site.toml",
            "--name",
            &self.name,
            "--yes",
        ]
    }

    /// Writes the state of an installed appliance that some engine would hold.
    pub(crate) fn record(&self, change: impl FnOnce(&mut State)) {
        let spec = format!("{}/bundles/rehearsal-1.toml", env!("CARGO_MANIFEST_DIR"));
        let spec = BundleSpec::parse(&fs::read_to_string(spec).unwrap()).unwrap();
        let current = Generation {
            number: 1,
            release: spec.release,
            bundle: Digest::of(b"bundle"),
            key: None,
            images: BTreeMap::new(),
            stack: Digest::of(&stack_bytes(&spec.stack).unwrap()),
            site: None,
            listen: ([127, 0, 0, 1], self.port).into(),
            schemas: BTreeMap::new(),
            schema_change: lfctl::stack::release::SchemaChange::Additive,
            backup: None,
            made_by: "install".to_owned(),
            at: jiff::Timestamp::now(),
        };
        let mut state = State {
            record: Recorded {
                schema: SCHEMA,
                lfctl: env!("CARGO_PKG_VERSION").to_owned(),
                status: Status::Installed,
                current,
                previous: None,
                run: String::new(),
                highest_counters: BTreeMap::new(),
                engine: EngineKind::Docker,
                engine_at: None,
                holds_data: true,
                fingerprints: BTreeMap::new(),
                stopped: std::collections::BTreeSet::new(),
                updated: jiff::Timestamp::now(),
            },
            stack: spec.stack,
        };
        change(&mut state);
        Appliance::named(&Paths::below(&self.root()), &self.name)
            .unwrap()
            .write_state(&state)
            .unwrap();
    }

    /// Runs the stock client on this host and returns what it printed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        match &self.island {
            Some(island) => island.ok("docker", arguments),
            None => docker(arguments),
        }
    }

    /// Containers, networks and volumes with this appliance's label.
    pub(crate) fn in_engine(&self) -> Vec<String> {
        let label = format!("label=io.lfctl.appliance={}", self.name);
        let list = |arguments: &[&str]| {
            self.docker(arguments)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut found = list(&["ps", "-aq", "--filter", &label]);
        found.extend(list(&["network", "ls", "-q", "--filter", &label]));
        found.extend(list(&["volume", "ls", "-q", "--filter", &label]));
        found
    }

    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.run(&[
            "uninstall",
            "--purge",
            "--if-installed",
            "--yes",
            "--name",
            &self.name,
        ]);
    }
}

/// A step and what it is done to, without the time of day that clients are
/// told.
fn step_of(value: &Value) -> String {
    let mut of = value["of"].clone();
    if let Value::Object(lead) = &mut of {
        lead.remove("until");
    }
    format!("{} {of}", value["step"].as_str().unwrap())
}

/// Runs the stock client and returns what it printed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        both(&output)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn both(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
