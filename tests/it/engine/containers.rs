use lfctl::engine::{Containers, ExecAndLogs, NetworksAndVolumes};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use lfctl::engine::docker::Docker;
use lfctl::engine::{
    Container, ContainerState, EngineError, EngineKind, EngineTarget, HealthSpec, HealthState,
    LABEL_CONFIG, PortSpec,
};

use crate::support::engine::{Rig, docker};

pub(super) async fn show(rig: &Rig, name: &str) -> Container {
    rig.engine.container(name).await.unwrap().unwrap()
}

pub(super) fn is_refused(result: &Result<(), EngineError>, wanted: Option<u16>) -> bool {
    matches!(result, Err(EngineError::Refused { status, .. }) if *status == wanted)
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn facts_are_the_engines_own() {
    let rig = Rig::new().await;
    let told = docker(&[
        "info",
        "--format",
        "{{.ServerVersion}} {{.Driver}} {{.NCPU}}",
    ]);
    let facts = &rig.facts;
    assert_eq!(
        told.trim(),
        format!("{} {} {}", facts.version, facts.storage_driver, facts.cpus)
    );
    assert!(facts.memory > 1 << 28);
}

#[tokio::test]
async fn a_socket_that_is_none_is_unreachable() {
    let target = EngineTarget::Socket("/nonexistent/docker.sock".into());
    let error = Docker::connect(&target).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }));
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_without_networks_has_none() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let (code, routes) = rig.run_to_end(&rig.spec("lone", &image, "ip route")).await;
    assert_eq!((code, routes.as_str()), (0, ""));
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn uploaded_files_keep_owner_and_mode() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let script = "stat -c '%u:%g %a' /etc/deep/secret; cat /etc/deep/secret";
    let mut spec = rig.spec("files", &image, script);
    spec.user = Some("1001:1002".to_owned());
    rig.engine.create(&spec).await.unwrap();
    assert_eq!(show(&rig, &spec.name).await.state, ContainerState::Created);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o400);
    header.set_uid(1001);
    header.set_gid(1002);
    header.set_size(7);
    tar.append_data(&mut header, "etc/deep/secret", &b"hidden\n"[..])
        .unwrap();
    let tar = tar.into_inner().unwrap();
    rig.engine.upload(&spec.name, tar).await.unwrap();
    rig.engine.start(&spec.name).await.unwrap();
    assert_eq!(rig.engine.wait(&spec.name).await.unwrap(), 0);
    let logs = rig.engine.logs(&spec.name, 10, None).await.unwrap();
    assert_eq!(logs, "1001:1002 400\nhidden\n");
}

async fn wait_for_health(rig: &Rig, name: &str, wanted: HealthState) -> Container {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = show(rig, name).await;
        if seen.health == Some(wanted) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{wanted:?} never came: {seen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn health_goes_through_its_states() {
    let rig = Rig::new().await;
    // Podman has its checks run by systemd's timers, or not at all.
    assert!(
        rig.facts.kind == EngineKind::Docker || Path::new("/run/systemd/system").exists(),
        "needs Docker, or a host with systemd"
    );
    let image = rig.shell().await;
    let mut spec = rig.spec("ill", &image, "sleep 60");
    let check = "if [ -e /well ]; then exit 0; fi; echo no /well; exit 1";
    spec.health = Some(HealthSpec {
        command: ["/bin/sh", "-c", check].map(str::to_owned).to_vec(),
        interval: Duration::from_millis(500),
        timeout: Duration::from_secs(5),
        retries: 2,
        start_period: Duration::ZERO,
    });
    let name = rig.run(&spec).await;
    assert_eq!(show(&rig, &name).await.health, Some(HealthState::Starting));
    let ill = wait_for_health(&rig, &name, HealthState::Unhealthy).await;
    assert_eq!(ill.health_output.as_deref(), Some("no /well"));
    let command = ["/bin/sh", "-c", ": > /well"].map(str::to_owned);
    let limit = Duration::from_secs(10);
    rig.engine.exec(&name, &command, limit).await.unwrap();
    wait_for_health(&rig, &name, HealthState::Healthy).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn exec_tells_output_and_code_and_keeps_its_limit() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let name = rig.run(&rig.spec("exec", &image, "sleep 60")).await;
    let exec = async |script: &str, limit| {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        rig.engine.exec(&name, &command, limit).await
    };
    let long = Duration::from_secs(20);
    let output = exec("echo out; echo err >&2; printf '\\377'; exit 3", long)
        .await
        .unwrap();
    assert_eq!(output.code, 3);
    assert_eq!(output.stdout, "out\n\u{fffd}");
    assert_eq!(output.stderr, "err\n");
    let begun = Instant::now();
    let error = exec("sleep 30", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let missing = rig.engine.exec(&name, &["/none".to_owned()], long).await;
    // Engines differ: an error, or the shell's code for it.
    assert!(missing.is_err() || missing.unwrap().code != 0);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn wait_tells_the_code_and_logs_both_streams() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let spec = rig.spec(
        "job",
        &image,
        "echo one; sleep 1; echo two >&2; sleep 1; exit 7",
    );
    let (code, logs) = rig.run_to_end(&spec).await;
    assert_eq!(code, 7);
    assert_eq!(logs, "one\ntwo\n");
    let seen = show(&rig, &spec.name).await;
    assert_eq!(seen.state, ContainerState::Exited);
    assert_eq!(seen.exit_code, Some(7));
    assert_eq!(seen.pid, None);
    assert_eq!(seen.labels[LABEL_CONFIG], "hash");
    // Over already: the answer is the same.
    assert_eq!(rig.engine.wait(&spec.name).await.unwrap(), 7);
    let last = rig.engine.logs(&spec.name, 1, None).await.unwrap();
    assert_eq!(last, "two\n");
    let future = i64::from(i32::MAX);
    let none = rig.engine.logs(&spec.name, 9, Some(future)).await.unwrap();
    assert_eq!(none, "");
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn settings_arrive_in_the_container() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let network = rig.network("net", false).await;
    let volume = rig.named("data");
    rig.engine
        .create_volume(&volume, &rig.owner("data"))
        .await
        .unwrap();
    let script =
        "ulimit -n; cat /etc/resolv.conf /etc/hosts; echo $GREETING; : > /data/kept; sleep 60";
    let mut spec = rig.spec("set", &image, script);
    spec.networks = vec![(network, vec!["set".to_owned()])];
    spec.env = BTreeMap::from([("GREETING".to_owned(), "a=b c".to_owned())]).into();
    spec.mounts = vec![(volume, "/data".to_owned())];
    spec.tmpfs = vec!["/scratch".to_owned()];
    spec.extra_hosts = vec!["langfuse.com:127.0.0.1".to_owned()];
    spec.dns_options = vec!["timeout:1".to_owned(), "attempts:1".to_owned()];
    spec.nofile = Some(4321);
    spec.stop_timeout = Some(130);
    spec.restart = true;
    spec.ports = vec![PortSpec {
        host_ip: "127.0.0.1".to_owned(),
        host_port: 0,
        container_port: 8000,
    }];
    let name = rig.run(&spec).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let logs = loop {
        let logs = rig.engine.logs(&name, 100, None).await.unwrap();
        if logs.contains("a=b c") {
            break logs;
        }
        assert!(Instant::now() < deadline, "{logs}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(logs.starts_with("4321\n"), "{logs}");
    assert!(logs.contains("timeout:1 attempts:1"), "{logs}");
    assert!(logs.contains("127.0.0.1\tlangfuse.com"), "{logs}");
    let seen = show(&rig, &name).await;
    assert_eq!(seen.state, ContainerState::Running);
    assert_eq!(seen.image, image);
    assert_eq!(seen.stop_timeout, Some(130));
    assert_eq!(seen.extra_hosts, spec.extra_hosts);
    assert!(seen.env.contains(&"GREETING=a=b c".to_owned()));
    assert!(seen.pid.is_some() && seen.started_at.is_some());
    assert!(seen.ports[&8000][0].starts_with("127.0.0.1:"));
    if rig.facts.kind == EngineKind::Docker {
        let format = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.LogConfig.Config}} {{.HostConfig.SecurityOpt}}";
        let told = docker(&["inspect", "--format", format, &name]);
        assert_eq!(
            told.trim(),
            "unless-stopped map[max-file:3 max-size:10m] [no-new-privileges]"
        );
    }
    let listed = rig.engine.containers(&rig.name).await.unwrap();
    assert_eq!(listed, [seen]);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn stop_gives_the_time_it_is_told_to_give() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let name = rig.run(&rig.spec("stubborn", &image, stubborn)).await;
    let polite = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let other = rig.run(&rig.spec("polite", &image, polite)).await;
    for name in [&name, &other] {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !rig
            .engine
            .logs(name, 1, None)
            .await
            .unwrap()
            .contains("ready")
        {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let begun = Instant::now();
    let timeout = Duration::from_secs(3);
    rig.engine.stop(&name, timeout).await.unwrap();
    assert!(begun.elapsed() >= timeout);
    assert_eq!(show(&rig, &name).await.exit_code, Some(137));
    // Stopped already is no error.
    rig.engine.stop(&name, timeout).await.unwrap();

    rig.engine.signal(&other, "SIGTERM").await.unwrap();
    assert_eq!(rig.engine.wait(&other).await.unwrap(), 5);
    // The status differs between engines.
    let result = rig.engine.signal(&other, "SIGTERM").await;
    assert!(
        matches!(&result, Err(EngineError::Refused { .. })),
        "{result:?}"
    );
}
