//! The main journey on a real engine with real datastores: install, prove,
//! install again, take off, put back, purge.

mod blob_store;
mod gateway;
mod proofs;

use std::collections::BTreeMap;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

use crate::support::host::{Host, both, docker, rehearsal, text};

/// Longer than an event takes on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Keys {
    public: String,
    secret: String,
}

fn keys(host: &Host) -> Keys {
    let secrets = fs::read_to_string(host.state_dir().join("secrets.toml")).unwrap();
    let secrets: toml::Table = secrets.parse().unwrap();
    let get = |name: &str| secrets["secrets"][name].as_str().unwrap().to_owned();
    Keys {
        public: get("public-key"),
        secret: get("secret-key"),
    }
}

fn curl(host: &Host, keys: &Keys, path: &str, body: Option<&str>) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", host.port);
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "20", "-w", "\n%{http_code}"])
        .args(["-u", &format!("{}:{}", keys.public, keys.secret)]);
    if let Some(body) = body {
        command.args(["-H", "content-type: application/json", "-d", body]);
    }
    let output = command.arg(url).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (body, code) = stdout.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

fn send_event(host: &Host, keys: &Keys, trace: &str) {
    let span = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": trace, "spanId": &trace[..16], "name": "kept", "kind": 1,
        "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": "1760000001000000000",
    }]}]}]});
    let (status, body) = curl(
        host,
        keys,
        "/api/public/otel/v1/traces",
        Some(&span.to_string()),
    );
    assert_eq!(status, 200, "{body}");
}

fn await_event(host: &Host, keys: &Keys, trace: &str) {
    let begun = Instant::now();
    loop {
        let (status, body) = curl(host, keys, &format!("/api/public/traces/{trace}"), None);
        if status == 200 && body.contains(trace) {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "event lost: {status} {body}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn container_ids(host: &Host) -> BTreeMap<String, String> {
    [
        "postgres",
        "redis",
        "clickhouse",
        "seaweedfs",
        "web",
        "worker",
        "gateway",
    ]
    .iter()
    .map(|service| {
        let name = host.container(service);
        let id = docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &name]);
        (name, id)
    })
    .collect()
}

fn bundle() -> String {
    text(&rehearsal().join("bundles/rehearsal-1.tar"))
}

#[test]
#[ignore = "needs the rehearsal"]
#[expect(
    clippy::too_many_lines,
    reason = "an install is dear, so one serves every question"
)]
fn an_appliance_is_installed_proven_kept_and_removed() {
    let host = Host::ready();
    let bundle = bundle();
    assert_eq!(
        rehearsal_images(),
        "",
        "an image would not have to be loaded"
    );

    proofs::install_opens_only_local_connections(&host, &bundle);
    proofs::doctor_finds_it_well(&host);
    proofs::nothing_gets_out(&host);

    let keys = keys(&host);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    send_event(&host, &keys, trace);
    await_event(&host, &keys, trace);
    a_client_loses_nothing(&host);
    blob_store::takes_and_gives_files_by_signed_urls(&host, &keys);
    blob_store::lets_its_siblings_at_one_bucket_only(&host);
    blob_store::holds_events_for_a_replay(&host, &keys, trace);
    gateway::lets_little_through_to_the_blob_store(&host);
    gateway::answers_others_in_a_flood(&host);
    gateway::is_made_anew_when_its_port_refuses(&host, &bundle);

    // A second run changes nothing and says so, but for what the first did not
    // come to because it was killed at its very end.
    let running = container_ids(&host);
    assert_eq!(forget_release(&host), 1);
    host.ok(&host.install(&bundle));
    let again = both(&host.run(&host.install(&bundle)));
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(forget_release(&host), 1);
    assert_eq!(container_ids(&host), running);
    proofs::release_counts_without_its_update_check(&host, &bundle);
    let running = container_ids(&host);
    await_event(&host, &keys, trace);
    proofs::what_programs_read_fits_its_schema(&host);
    what_runs_is_what_was_signed(&host, &bundle);

    // Another release is not installed over it.
    let newer = text(&rehearsal().join("bundles/rehearsal-2.tar"));
    let refusal = host.fails(5, &host.install(&newer));
    assert!(refusal.contains("another bundle"), "{refusal}");
    assert_eq!(container_ids(&host), running);

    // A bundle that runs mends its appliance, whatever was loaded since.
    take_newer_release(&host);
    let state = fs::metadata(host.state_dir().join("state.json")).unwrap();
    assert_eq!(state.permissions().mode() & 0o777, 0o600);

    // A container that somebody gave a way out loses it.
    docker(&["network", "connect", "bridge", &host.container("web")]);
    host.ok(&host.install(&bundle));
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let networks = docker(&["inspect", "--format", networks, &host.container("web")]);
    assert_eq!(networks.trim(), format!("{}-internal", host.name));
    let running = container_ids(&host);

    // A container that somebody removed comes back, and the rest stays.
    docker(&["rm", "-f", &host.container("worker")]);
    assert_eq!(
        differences(&host, &bundle),
        [("worker".to_owned(), "absent".to_owned())]
    );
    host.ok(&host.install(&bundle));
    assert_eq!(differences(&host, &bundle), []);
    let mended = container_ids(&host);
    for (name, id) in &running {
        let is_worker = *name == host.container("worker");
        assert_eq!(mended[name] == *id, !is_worker, "{name}");
    }
    await_event(&host, &keys, trace);

    // Without the record of it, or with another one's secrets, it is left alone.
    let elsewhere = host.dir.path().join("elsewhere");
    let stranger = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lfctl"));
        command
            .args(arguments)
            .args(["--name", &host.name, "--yes", "--root"])
            .arg(&elsewhere);
        command.output().unwrap()
    };
    let refusal = stranger(&["uninstall", "--purge"]);
    assert_eq!(refusal.status.code(), Some(5), "{}", both(&refusal));
    let secrets = host.state_dir().join("secrets.toml");
    let kept = fs::read(&secrets).unwrap();
    fs::write(&secrets, "schema = 1\n[secrets]\n").unwrap();
    let refusal = host.fails(5, &host.install(&bundle));
    assert!(refusal.contains("encryption-key"), "{refusal}");
    let doctor = ["doctor", "--only", "data.secrets", "--name", &host.name];
    host.fails(5, &doctor);
    fs::remove_file(&secrets).unwrap();
    host.fails(5, &doctor);
    let refusal = host.fails(1, &["logs", "web", "--name", &host.name]);
    assert!(refusal.contains("secrets.toml"), "{refusal}");
    fs::write(&secrets, kept).unwrap();
    host.ok(&doctor);
    assert_eq!(container_ids(&host), mended);

    // Taken off without --purge, the data waits for the next install.
    host.ok(&["uninstall", "--yes", "--name", &host.name]);
    assert!(docker(&["ps", "-aq", "--filter", &format!("name={}-", host.name)]).is_empty());
    assert!(host.state_dir().join("secrets.toml").exists());
    let refusal = host.fails(5, &host.install(&newer));
    assert!(refusal.contains("the data of"), "{refusal}");
    host.ok(&host.install(&bundle));
    await_event(&host, &keys, trace);

    host.ok(&["uninstall", "--purge", "--yes", "--name", &host.name]);
    assert_eq!(host.in_engine(), Vec::<String>::new());
    assert!(!host.state_dir().exists());
    assert_eq!(rehearsal_images(), "");
    proofs::audit_log_holds(&host);
}

/// With the client that upgrades are measured by.
fn a_client_loses_nothing(host: &Host) {
    let client = format!("{}/scripts/rehearsal/client", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(client)
        .args(["--url", &format!("http://127.0.0.1:{}", host.port)])
        .arg("--secrets")
        .arg(host.state_dir().join("secrets.toml"))
        .args(["--rate", "20", "--seconds", "5"])
        .args(["--slow", "2", "--slow-seconds", "3"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["due"], 100, "{report}");
    assert!(report["read_back"].as_u64() > Some(100), "{report}");
}

/// Makes the host remember that it took a newer release.
fn take_newer_release(host: &Host) {
    let file = host.root().join("var/lib/lfctl/releases.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    known["releases"]["langfuse-rehearsal"]["counter"] = 2.into();
    fs::write(file, known.to_string()).unwrap();
}

/// Makes the host forget which release it took, and returns its counter.
fn forget_release(host: &Host) -> u64 {
    let file = host.root().join("var/lib/lfctl/releases.json");
    let known: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(file).unwrap();
    known["releases"]["langfuse-rehearsal"]["counter"]
        .as_u64()
        .unwrap()
}

fn rehearsal_images() -> String {
    docker(&["image", "ls", "-q", "--filter", "reference=rehearsal/*"])
}

/// What `verify --running` finds, other than what is the same, with its exit
/// code held against it.
fn differences(host: &Host, bundle: &str) -> Vec<(String, String)> {
    let arguments = [
        "verify",
        "--running",
        bundle,
        "--json",
        "--name",
        &host.name,
    ];
    let output = host.run(&arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let all = |key: &str, name: &str| -> Vec<_> {
        let found = report[key].as_array().unwrap().iter();
        found
            .map(|one| (word(&one[name]), word(&one["verdict"])))
            .collect()
    };
    let mut found = all("images", "reference");
    found.extend(all("services", "service"));
    assert!(found.len() >= 14, "{report}");
    found.retain(|(_, verdict)| verdict != "same");
    assert_eq!(report["differences"], found.len());
    let code = if found.is_empty() { 0 } else { 5 };
    assert_eq!(output.status.code(), Some(code), "{report}");
    found
}

fn what_runs_is_what_was_signed(host: &Host, bundle: &str) {
    assert_eq!(differences(host, bundle), []);
    let arguments = ["verify", "--running", bundle, "--name", &host.name];
    assert!(host.ok(&arguments).contains("what the bundle says"));

    // Somebody moves a tag, pauses a service, and starts one of their own in
    // the appliance's name.
    let moved = "docker.io/rehearsal/redis:7.0".to_owned();
    let redis = docker(&[
        "inspect",
        "--format",
        "{{.Image}}",
        &host.container("redis"),
    ]);
    let other = docker(&[
        "inspect",
        "--format",
        "{{.Image}}",
        &host.container("seaweedfs"),
    ]);
    let (redis, other) = (redis.trim(), other.trim());
    docker(&["tag", other, &moved]);
    docker(&["pause", &host.container("seaweedfs")]);
    let label = format!("io.lfctl.appliance={}", host.name);
    let stranger = host.container("stranger");
    docker(&["create", "--name", &stranger, "--label", &label, redis]);
    let expected = [
        (moved.clone(), "tag-moved".to_owned()),
        ("seaweedfs".to_owned(), "not-running".to_owned()),
        (stranger.clone(), "unknown".to_owned()),
    ];
    assert_eq!(differences(host, bundle), expected);
    docker(&["rm", &stranger]);
    docker(&["unpause", &host.container("seaweedfs")]);
    docker(&["tag", redis, &moved]);
    assert_eq!(differences(host, bundle), []);

    // Another release is another matter: web and worker are of other images.
    let newer = text(&rehearsal().join("bundles/rehearsal-2.tar"));
    let found = differences(host, &newer);
    for service in ["web", "worker"] {
        let wanted = (service.to_owned(), "other-image".to_owned());
        assert!(found.contains(&wanted), "{found:?}");
    }
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_killed_install_is_finished_by_the_next_run() {
    let host = Host::ready();
    let bundle = bundle();
    stop_at(&host, &bundle, "load", "KILL");
    let asked = stop_at(&host, &bundle, "start:postgres", "INT");
    assert_eq!(asked.code(), Some(12), "Ctrl-C ends it after the step");
    for at in ["start:clickhouse", "migrate", "healthy:web"] {
        stop_at(&host, &bundle, at, "KILL");
        let status = host.ok(&["status", "--name", &host.name]);
        assert!(status.contains("install broke off"), "after {at}: {status}");
    }
    host.ok(&host.install(&bundle));
    let status: Value =
        serde_json::from_str(&host.ok(&["status", "--json", "--name", &host.name])).unwrap();
    assert_eq!(status[0]["status"], "installed");
    assert_eq!(status[0]["unfinished"], Value::Null);
}

/// Starts an install and sends it a signal once the journal announces step
/// `at`.
fn stop_at(host: &Host, bundle: &str, at: &str, signal: &str) -> ExitStatus {
    let mut child = host
        .command(&host.install(bundle))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = host.state_dir().join("journal.jsonl");
    let runs = |text: &str| text.matches("run-begin").count();
    let before = fs::read_to_string(&journal).map_or(0, |text| runs(&text));
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        let is_new = runs(&text) > before;
        let run = text.rsplit("run-begin").next().unwrap_or_default();
        if is_new && run.contains(&format!("\"record\":\"step-begin\",\"step\":\"{at}\"")) {
            break;
        }
        assert!(begun.elapsed() < 3 * TIMEOUT, "never came to {at}: {run}");
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before {at}: {run}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    child.wait().unwrap()
}
