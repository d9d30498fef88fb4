//! The host is rebooted, and the appliance comes back or not, as `lfctl
//! doctor` said before.

use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::bundle::manifest::UpgradeWay;
use serde_json::Value;

use crate::support::appliance::Releases;
use crate::support::bundle::key;
use crate::support::host::both;
use crate::support::machine::Machine;

const SITE: &str = "schema = 1\nurl = \"http://localhost:8080\"\nlisten = \"127.0.0.1:8080\"\n\n\
    [admin]\nemail = \"admin@example.com\"\n";
const SERVICES: [&str; 4] = ["gateway", "store", "web", "worker"];
/// How long a stack that was started may take to be well.
const WELL: Duration = Duration::from_secs(60);

/// A machine with an appliance.
fn installed() -> Machine {
    let machine = Machine::boot();
    let units = ["podman.socket", "podman-restart.service"];
    machine.ok(&[&["systemctl", "enable", "--now"], &units[..]].concat());
    let (key, shared) = (key(), machine.shared());
    let release = Releases::named("reboot", UpgradeWay::Rolling).release(1);
    release.write(&shared.join("1.tar"), &key).unwrap();
    fs::write(shared.join("key.pub"), key.public().to_text()).unwrap();
    fs::write(shared.join("site.toml"), SITE).unwrap();
    machine.ok(&["lfctl", "trust", "add", "key.pub"]);
    let install = [
        "lfctl",
        "install",
        "--offline",
        "1.tar",
        "--site",
        "site.toml",
    ];
    machine.ok(&[&install[..], &["--yes"]].concat());
    machine
}

/// What doctor says of the next reboot.
fn forecast(machine: &Machine) -> Value {
    let output = machine.run(&["lfctl", "doctor", "--json"]);
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array_mut().unwrap().iter_mut();
    let mut found = checks.filter(|check| check["id"] == "engine.boot");
    found.next().unwrap().take()
}

/// The services that run, and whether each is well.
fn services(machine: &Machine) -> Vec<(String, bool)> {
    let output = machine.run(&["lfctl", "status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Some(all) = status[0]["containers"].as_array() else {
        panic!("{}", both(&output));
    };
    let all = all.iter();
    let running = all.filter(|service| service["state"] == "running");
    let service = |one: &Value| {
        let name = one["service"].as_str().unwrap().to_owned();
        (name, one["health"] == "healthy")
    };
    running.map(service).collect()
}

#[track_caller]
fn expect_pass(forecast: &Value) {
    assert_eq!(forecast["outcome"], "pass", "{forecast}");
}

#[track_caller]
fn comes_back(machine: &Machine) {
    let wanted = SERVICES.map(|name| (name.to_owned(), true));
    let begun = Instant::now();
    while services(machine) != wanted {
        assert!(begun.elapsed() < WELL, "{:?}", services(machine));
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
#[ignore = "needs root and debootstrap"]
fn the_stack_comes_back_as_doctor_said() {
    let mut machine = installed();
    expect_pass(&forecast(&machine));
    machine.reboot();
    comes_back(&machine);

    machine.ok(&["systemctl", "disable", "podman-restart.service"]);
    let finding = forecast(&machine);
    assert_eq!(finding["severity"], "warning", "{finding}");
    let evidence = finding["evidence"].as_str().unwrap();
    assert_eq!(evidence, "podman-restart.service is not enabled");
    machine.reboot();
    assert_eq!(services(&machine), []);

    // What it printed brings it back, now and after each reboot.
    let remedy = finding["remedy"]["command"].as_str().unwrap();
    machine.ok(&["sh", "-c", remedy]);
    comes_back(&machine);
    expect_pass(&forecast(&machine));
    machine.reboot();
    comes_back(&machine);
}
