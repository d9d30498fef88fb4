//! Backups on a real engine, with real datastores and stock restic.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::support::host::{Host, docker, rehearsal, text};

/// An appliance with something in it, and where its backups go.
struct Bench {
    host: Host,
}

impl Bench {
    fn new() -> Self {
        let host = Host::ready();
        let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
        host.ok(&host.install(&bundle));
        fill(&host);
        Self { host }
    }

    fn repository(&self) -> PathBuf {
        self.host.dir.path().join("repository")
    }

    fn create(&self) -> Vec<&str> {
        let name = &self.host.name;
        vec!["backup", "create", "--to", "repository", "--name", name]
    }

    fn list(&self) -> Vec<Value> {
        let list = self
            .host
            .ok(&["backup", "list", "--json", "--name", &self.host.name]);
        serde_json::from_str(&list).unwrap()
    }

    fn restic(&self, arguments: &[&str]) -> String {
        let output = Command::new("restic")
            .arg("-r")
            .arg(self.repository())
            .arg("--password-file")
            .arg(self.host.state_dir().join("backup-password"))
            .arg("--no-cache")
            .args(arguments)
            .output()
            .expect("install restic");
        let said = crate::support::host::both(&output);
        assert!(output.status.success(), "restic {arguments:?}: {said}");
        said
    }

    /// What a backup that broke off would leave in the stores.
    fn leftovers(&self) -> String {
        let look = |service: &str, script: &str| {
            docker(&["exec", &self.host.container(service), "sh", "-c", script])
        };
        look(
            "clickhouse",
            "ls /var/lib/clickhouse/shadow 2>/dev/null | grep lfctl || true",
        ) + &look("redis", "ls /data | grep lfctl || true")
    }
}

/// Rows and objects, the same in every run.
fn fill(host: &Host) {
    let data = format!("{}/scripts/rehearsal/data", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(data)
        .args(["--name", &host.name, "--rows", "20000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "needs the rehearsal and restic"]
fn a_backup_is_listed_checked_and_restored_by_stock_restic() {
    let bench = Bench::new();
    let plan = bench
        .host
        .ok(&[&bench.create()[..], &["--dry-run"]].concat());
    assert!(plan.contains("do   copy clickhouse: "), "{plan}");
    assert!(!bench.repository().exists(), "a dry run wrote something");

    bench.host.ok_as_planned(&bench.create());
    let listed = bench.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["release"], "langfuse-rehearsal 1.0.0");
    assert!(listed[0]["objects"].as_u64().unwrap() >= 420, "{listed:?}");
    assert!(listed[0]["rows"].as_u64().unwrap() >= 20_400, "{listed:?}");
    assert_eq!(bench.leftovers(), "");

    // A second run finds again what did not change.
    bench.host.ok(&bench.create());
    let listed = bench.list();
    let bytes = |row: &Value, key: &str| row[key].as_u64().unwrap();
    assert!(
        bytes(&listed[1], "added") * 20 <= bytes(&listed[0], "added"),
        "{listed:?}"
    );

    assert!(bench.restic(&["snapshots"]).contains("2 snapshots"));
    assert!(
        bench
            .restic(&["check", "--read-data"])
            .contains("no errors were found")
    );
    let to = bench.host.dir.path().join("out");
    bench.restic(&["restore", "latest", "--target", &text(&to)]);
    let secrets = fs::read(bench.host.state_dir().join("secrets.toml")).unwrap();
    assert_eq!(fs::read(to.join("settings/secrets.toml")).unwrap(), secrets);
    let dump = fs::read(to.join("postgres/database.dump")).unwrap();
    assert!(dump.starts_with(b"PGDMP"));
    assert!(files(&to.join("blobs")) >= 420);
    let password = fs::read_to_string(bench.host.state_dir().join("backup-password")).unwrap();
    assert!(!holds(&bench.repository(), password.trim().as_bytes()));
}

impl Bench {
    fn sql(&self, statement: &str) -> String {
        let container = self.host.container("postgres");
        let psql = [
            "psql", "-X", "-U", "langfuse", "-d", "langfuse", "-At", "-c",
        ];
        docker(&[&["exec", &container][..], &psql, &[statement]].concat())
    }

    fn clickhouse(&self, statement: &str) -> String {
        let container = self.host.container("clickhouse");
        let client = [
            "clickhouse-client",
            "--config-file",
            "/etc/clickhouse-client/lfctl.xml",
            "--query",
        ];
        docker(&[&["exec", &container][..], &client, &[statement]].concat())
    }

    /// Hashes over all rows that were filled in.
    fn rows(&self) -> [String; 4] {
        [
            self.sql("SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM users u"),
            self.sql("SELECT md5(string_agg(m::text, ',' ORDER BY id)) FROM media m"),
            self.clickhouse(
                "SELECT count(), sum(cityHash64(id, name, input, output, metadata)) \
                 FROM observations WHERE name LIKE 'step %'",
            ),
            self.clickhouse("SELECT version, dirty FROM schema_migrations ORDER BY version"),
        ]
    }

    /// Takes the appliance off the host as a lost disk does.
    fn purge(&self) {
        let name = &self.host.name;
        self.host
            .ok(&["uninstall", "--purge", "--yes", "--name", name]);
        assert!(!self.host.state_dir().exists());
    }

    fn restore<'a>(&'a self, bundle: &'a str, password: &'a str) -> Vec<&'a str> {
        let name = &self.host.name;
        let from = ["--from", "repository", "--password-file", password];
        [&["restore", bundle][..], &from, &["--name", name]].concat()
    }

    fn secrets(&self) -> Vec<u8> {
        fs::read(self.host.state_dir().join("secrets.toml")).unwrap()
    }
}

fn bundle(release: u32) -> String {
    text(&rehearsal().join(format!("bundles/rehearsal-{release}.tar")))
}

/// Containers with their ids, volumes and networks of an appliance and of what
/// is named after it.
fn in_engine(name: &str) -> String {
    let own = format!("name={name}");
    let of = |kind: &[&str], format: &str| {
        docker(&[kind, &["--filter", &own, "--format", format]].concat())
    };
    of(&["ps", "-a", "--no-trunc"], "{{.ID}} {{.Names}}")
        + &of(&["volume", "ls"], "{{.Name}}")
        + &of(&["network", "ls"], "{{.Name}}")
}

#[test]
#[ignore = "needs the rehearsal"]
fn an_emptied_host_comes_back_from_a_snapshot_as_it_was() {
    let bench = Bench::new();
    let (host, name) = (&bench.host, &bench.host.name);
    host.ok(&bench.create());
    let kept = host.state_dir().join("backup-password");
    fs::copy(kept, host.dir.path().join("password.txt")).unwrap();
    let (rows, secrets, listed) = (bench.rows(), bench.secrets(), bench.list());
    assert!(rows[2].starts_with("20000\t"), "{rows:?}");

    // A drill leaves what runs as it is, and nothing else behind.
    let before = in_engine(name);
    host.ok(&["backup", "drill", "--name", name]);
    assert_eq!(in_engine(name), before);

    // Data that is there stays unless its loss is asked for.
    let (first, second) = (bundle(1), bundle(2));
    let refused = host.fails(5, &bench.restore(&first, "password.txt"));
    assert!(refused.contains("--replace-data"), "{refused}");
    assert_eq!(in_engine(name), before);

    bench.purge();
    let refused = host.fails(5, &bench.restore(&second, "password.txt"));
    let wanted = "was made by langfuse-rehearsal 1.0.0";
    assert!(refused.contains(wanted), "{refused}");
    fs::write(host.dir.path().join("wrong.txt"), "wrong").unwrap();
    let refused = host.fails(1, &bench.restore(&first, "wrong.txt"));
    assert!(refused.contains("wrong password"), "{refused}");

    host.ok_as_planned(&bench.restore(&first, "password.txt"));
    assert_eq!(bench.rows(), rows);
    assert_eq!(bench.secrets(), secrets);
    // The new host backs up by itself, and has all objects of the old one.
    host.ok(&bench.create());
    let again = bench.list();
    assert_eq!(again.len(), 2);
    let objects = |row: &Value| row["objects"].as_u64().unwrap();
    assert!(objects(&again[1]) >= objects(&listed[0]), "{again:?}");

    // On a broken host the same, without a bundle.
    docker(&["rm", "-f", &host.container("clickhouse")]);
    bench.sql("DELETE FROM users WHERE id LIKE 'filled-1%'");
    let snapshot = listed[0]["snapshot"].as_str().unwrap();
    let replace = ["restore", "--snapshot", snapshot, "--replace-data"];
    host.ok_as_planned(&[&replace[..], &["--name", name]].concat());
    assert_eq!(bench.rows(), rows);
}

#[test]
#[ignore = "needs the rehearsal"]
fn damage_is_found_and_does_not_pass_a_drill() {
    let bench = Bench::new();
    let (host, name) = (&bench.host, &bench.host.name);
    host.ok(&bench.create());
    host.ok(&["backup", "verify", "--name", name, "--json"]);
    let prune = [
        "backup",
        "prune",
        "--keep-last",
        "9",
        "--name",
        name,
        "--json",
    ];
    host.ok(&[&prune[..], &["--dry-run"]].concat());
    host.ok(&prune);
    let before = in_engine(name);
    // One byte of the largest pack is another.
    let pack = packs(&bench.repository().join("data"))
        .into_iter()
        .max_by_key(|pack| fs::metadata(pack).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1000] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, &bytes).unwrap();
    let told = host.run(&["backup", "verify", "--name", name]);
    assert_eq!(told.status.code(), Some(1));
    let told = crate::support::host::both(&told);
    let file = pack.file_name().unwrap().to_string_lossy().into_owned();
    assert!(told.contains(&file), "{told}");
    let drill = host.run(&["backup", "drill", "--name", name]);
    assert!(!drill.status.success(), "a damaged snapshot passed");
    assert_eq!(in_engine(name), before);
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                packs(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

/// Whether any file below `dir` holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let content = fs::read(&path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}
