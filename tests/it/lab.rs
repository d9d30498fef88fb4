//! The lab, played to real containers: what the double of Langfuse's update
//! check comes to, and that nothing of the lab stays.

use std::process::Stdio;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::support::host::{Host, both, docker, rehearsal, text};

/// Containers, networks and volumes, but the appliance's own.
fn others(host: &Host) -> Vec<String> {
    let list = |arguments: &[&str]| docker(arguments);
    let mut all = list(&["ps", "-a", "--format", "{{.Names}}"]);
    all += &list(&["network", "ls", "--format", "{{.Name}}"]);
    all += &list(&["volume", "ls", "--format", "{{.Name}}"]);
    let own = format!("{}-lab-", host.name);
    let lines = all.lines().filter(|line| line.starts_with(&own));
    lines.map(str::to_owned).collect()
}

/// What the engine says of the appliance's containers.
fn untouched(host: &Host) -> String {
    let label = format!("label=io.lfctl.appliance={}", host.name);
    let ids = docker(&["ps", "-aq", "--filter", &label]);
    let format =
        "{{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{json .NetworkSettings.Networks}}";
    let mut arguments = vec!["inspect", "--format", format];
    arguments.extend(ids.lines());
    docker(&arguments)
}

fn arguments<'a>(host: &'a Host, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["doctor", "--egress-lab", "--name", &host.name];
    arguments.extend(more);
    arguments
}

/// Puts a web into the place of the appliance's own that is not graceful when
/// a captive portal answers.
fn break_web(host: &Host) -> String {
    let (web, kept) = (host.container("web"), host.container("web-kept"));
    let image = docker(&["inspect", "--format", "{{.Image}}", &web]);
    let other = host.container("web-other");
    docker(&["create", "--name", &other, image.trim()]);
    let file = host.dir.path().join("update.js");
    let inside = format!("{other}:/app/web/update.js");
    docker(&["cp", &inside, &text(&file)]);
    let script = fs::read_to_string(&file).unwrap();
    let broken = "catch (error) {\n    if (error instanceof SyntaxError) throw error;";
    assert!(script.contains("catch {"));
    fs::write(&file, script.replacen("catch {", broken, 1)).unwrap();
    docker(&["cp", &text(&file), &inside]);
    let image = docker(&["commit", &other]);
    docker(&["rm", &other]);

    let format = "{{range .Config.Env}}{{println .}}{{end}}";
    let env = docker(&["inspect", "--format", format, &web]);
    let env_file = host.dir.path().join("env");
    fs::write(&env_file, env).unwrap();
    docker(&["rename", &web, &kept]);
    docker(&[
        "create",
        "--name",
        &web,
        "--add-host",
        "langfuse.com:127.0.0.1",
        "--env-file",
        &text(&env_file),
        image.trim(),
    ]);
    image.trim().to_owned()
}

fn repair_web(host: &Host, image: &str) {
    let (web, kept) = (host.container("web"), host.container("web-kept"));
    docker(&["rm", &web]);
    docker(&["rename", &kept, &web]);
    docker(&["rmi", image]);
}

/// Ctrl-C while a mode is played.
fn interrupt(host: &Host) {
    let lfctl = host
        .command(&arguments(host, &["--mode", "tls-silent"]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !others(host).iter().any(|one| one.ends_with("-lab-web")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no lab");
        std::thread::sleep(Duration::from_millis(50));
    }
    let killed = std::process::Command::new("kill")
        .args(["-INT", &lfctl.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let ended = lfctl.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(12), "{}", both(&ended));
}

/// Usage telemetry holds the first health call as long as it is known to, and
/// the settings of the appliance end that.
fn telemetry_holds_health(lab: &Value) {
    let telemetry = lab["telemetry"].as_array().unwrap();
    assert_eq!(telemetry.len(), 4);
    for row in telemetry {
        println!(
            "telemetry {}: on {}, with {}",
            row["mode"], row["on"], row["with"]
        );
        let held = row["on"]["elapsed-ms"].as_u64().unwrap();
        let known = match row["mode"].as_str().unwrap() {
            "refused" | "name-not-found" => 9_000..14_000,
            _ => 30_000..40_000,
        };
        assert!(known.contains(&held), "{row}");
        assert!(row["with"]["elapsed-ms"].as_u64().unwrap() < 1000, "{row}");
    }
}

#[test]
#[ignore = "needs the rehearsal"]
fn each_mode_comes_to_what_langfuse_is_known_for() {
    let host = Host::ready();
    let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    host.ok(&host.install(&bundle));
    let before = untouched(&host);

    let lab: Value = serde_json::from_str(&host.ok(&arguments(&host, &["--json"]))).unwrap();
    assert_eq!(others(&host), Vec::<String>::new());
    let modes = lab["modes"].as_array().unwrap();
    assert_eq!(modes.len(), 13);
    let mut slowest = 0;
    for row in modes {
        let cell = |which: &str| {
            let cell = &row[which];
            let seconds = cell["elapsed-ms"].as_f64().unwrap() / 1000.0;
            let (status, body) = (&cell["status"], &cell["body"]);
            format!(
                "{status} {body} {seconds:.3} s {} {}",
                cell["health"], cell["verdict"]
            )
        };
        println!("{}", row["mode"]);
        println!("  without  {}", cell("without"));
        println!("  with     {}", cell("with"));
        println!("  logged   {}", row["without"]["log-line"]);
        slowest = slowest.max(row["with"]["elapsed-ms"].as_u64().unwrap());
        // What facts say of the answer beside its verdict.
        let (status, body) = match row["mode"].as_str().unwrap() {
            "tls-silent" => (Value::Null, "none"),
            "no-semver" => (500.into(), "error"),
            "unavailable" | "slow-body" | "newer-release" => (200.into(), "release"),
            _ => (200.into(), "null"),
        };
        assert_eq!(row["without"]["status"], status, "{row}");
        assert_eq!(row["without"]["body"], body, "{row}");
    }
    println!("slowest behind the seal: {slowest} ms");
    telemetry_holds_health(&lab);
    assert_eq!(lab["findings"], serde_json::json!([]));

    interrupt(&host);
    assert_eq!(others(&host), Vec::<String>::new());
    assert_eq!(untouched(&host), before);

    // A web that is not graceful in one mode, and is in another.
    let image = break_web(&host);
    let portal = host.run(&arguments(&host, &["--mode", "captive-portal"]));
    let refused = host.run(&arguments(&host, &["--mode", "refused"]));
    repair_web(&host, &image);
    assert_eq!(portal.status.code(), Some(5), "{}", both(&portal));
    let table = String::from_utf8(portal.stdout).unwrap();
    assert!(
        table.contains("captive-portal: known as `fails gracefully"),
        "{table}"
    );
    assert_eq!(refused.status.code(), Some(0), "{}", both(&refused));
    assert_eq!(others(&host), Vec::<String>::new());
}
