//! What holds of an appliance that was just installed.

use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use super::forget_release;
use crate::support::host::{Host, both, docker, text};

/// Runs the install under strace and looks at every connect.
pub(super) fn install_opens_only_local_connections(host: &Host, bundle: &str) {
    let connects = traced(host, &host.install(bundle), "install");
    // The stack's own networks are gone from nowhere: they exist now.
    let stack = subnets(host);
    for line in &connects {
        assert!(
            is_local(line, &stack),
            "install connected elsewhere: {line}"
        );
    }
    assert!(
        connects.iter().any(|line| line.contains("docker.sock")),
        "the trace saw no engine: {connects:?}"
    );
}

fn traced(host: &Host, arguments: &[&str], what: &str) -> Vec<String> {
    let log = host.dir.path().join(format!("{what}.strace"));
    let lfctl = host.command(arguments);
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o"])
        .arg(&log)
        .arg(lfctl.get_program())
        .args(lfctl.get_args())
        .current_dir(host.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{what}: {}", both(&output));
    fs::read_to_string(log)
        .unwrap()
        .lines()
        .filter(|line| line.contains("sa_family="))
        .map(str::to_owned)
        .collect()
}

/// First three bytes of the addresses of the appliance's networks.
fn subnets(host: &Host) -> Vec<String> {
    ["internal", "edge"]
        .iter()
        .map(|network| {
            let name = format!("{}-{network}", host.name);
            let subnet = docker(&[
                "network",
                "inspect",
                "--format",
                "{{(index .IPAM.Config 0).Subnet}}",
                &name,
            ]);
            let mut bytes = subnet.trim().split('.');
            format!("\"{}.{}.", bytes.next().unwrap(), bytes.next().unwrap())
        })
        .collect()
}

fn is_local(line: &str, stack: &[String]) -> bool {
    // By netlink the kernel is asked for its firewall's rules.
    line.contains("AF_UNIX")
        || line.contains("AF_NETLINK")
        || line.contains("inet_addr(\"127.")
        || stack
            .iter()
            .any(|subnet| line.contains(&format!("inet_addr({subnet}")))
}

pub(super) fn doctor_finds_it_well(host: &Host) {
    let arguments = ["doctor", "--json", "--name", &host.name];
    let report: Value = serde_json::from_str(&host.ok(&arguments)).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let update = checks
        .iter()
        .find(|check| check["id"] == "egress.update-check")
        .unwrap();
    assert_eq!(update["outcome"], "pass", "{update}");
    let shown = host.ok(&["doctor", "--name", &host.name]);
    assert!(shown.contains("egress.update-check"), "{shown}");
    let stack = subnets(host);
    for line in traced(host, &arguments, "doctor") {
        assert!(
            is_local(&line, &stack),
            "doctor connected elsewhere: {line}"
        );
    }
}

/// Looks from inside the namespaces of web and worker, without lfctl.
pub(super) fn nothing_gets_out(host: &Host) {
    let script = r#"
        const net = require("net");
        const attempt = (host, port) => new Promise((resolve) => {
            const begun = Date.now();
            const socket = net.connect({ host, port });
            const end = (how) => { socket.destroy(); resolve([host, how, Date.now() - begun]); };
            socket.setTimeout(5000, () => end("timeout"));
            socket.on("connect", () => end("CONNECTED"));
            socket.on("error", (error) => end(error.code));
        });
        Promise.all([
            attempt("1.1.1.1", 443), attempt("192.0.2.1", 443), attempt("example.org", 443),
            attempt("langfuse.com", 443), attempt("eu.posthog.com", 443),
        ]).then((all) => console.log(JSON.stringify(all)));
    "#;
    for service in ["web", "worker"] {
        let printed = docker(&["exec", &host.container(service), "node", "-e", script]);
        let attempts: Vec<(String, String, u64)> = serde_json::from_str(&printed).unwrap();
        assert_eq!(attempts.len(), 5);
        for (target, how, millis) in attempts {
            assert_ne!(how, "CONNECTED", "{service} reached {target}");
            let known = target == "langfuse.com" || target == "eu.posthog.com";
            assert!(
                !known || (how == "ECONNREFUSED" && millis < 500),
                "{service} to {target}: {how} after {millis} ms"
            );
        }
    }
}

pub(super) fn audit_log_holds(host: &Host) {
    let log = host
        .root()
        .join("var/log/lfctl")
        .join(&host.name)
        .join("audit.jsonl");
    let log = fs::read_to_string(log).unwrap();
    host.ok(&["audit", "verify"]);
    for command in ["install", "uninstall", "uninstall --purge"] {
        assert!(log.contains(&format!("\"command\":\"{command}\"")), "{log}");
    }
}

/// A gateway that answers for web is no reason to forget what runs.
pub(super) fn release_counts_without_its_update_check(host: &Host, bundle: &str) {
    let gateway = host.container("gateway");
    let inside = format!("{gateway}:/etc/nginx/nginx.conf");
    let kept = host.dir.path().join("nginx.conf");
    let changed = host.dir.path().join("changed.conf");
    docker(&["cp", &inside, &text(&kept)]);
    let config = fs::read_to_string(&kept).unwrap();
    let without = "location /api/trpc/ { return 500; } location / {";
    fs::write(&changed, config.replace("location / {", without)).unwrap();
    let reload = || docker(&["exec", &gateway, "sh", "-c", "nginx -s reload && sleep 1"]);

    // Only nginx itself knows of it: a changed file would be put right.
    docker(&["cp", &text(&changed), &inside]);
    reload();
    docker(&["cp", &text(&kept), &inside]);
    docker(&["rm", "-f", &host.container("worker")]);
    let refusal = host.fails(5, &host.install(bundle));
    assert!(refusal.contains("update check"), "{refusal}");
    assert_eq!(forget_release(host), 1);
    reload();
    host.ok(&host.install(bundle));
}

/// [`Host::run`] holds it against it.
pub(super) fn what_programs_read_fits_its_schema(host: &Host) {
    let commands: &[&[&str]] = &[
        &["status"],
        &["history"],
        &["doctor"],
        &["logs", "--tail", "3"],
        &["logs", "web", "worker", "--tail", "3"],
        &["egress", "list"],
        &["verify", "--running"],
        &["audit", "verify"],
        &["audit", "show"],
        &["uninstall", "--dry-run"],
    ];
    for command in commands {
        host.ok(&[command, &["--json", "--name", &host.name][..]].concat());
    }
    host.ok(&["inventory", "--json"]);
}
