use super::*;
use crate::engine::{Container, ContainerState, HealthState};
use std::collections::BTreeMap;

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

/// Docker 20.10 of Debian 12, shortened.
const VERSION: &str = r#"{"Platform":{"Name":""},"Components":[{"Name":"Engine","Version":"20.10.24+dfsg1",
    "Details":{"ApiVersion":"1.41","Arch":"amd64"}},{"Name":"containerd","Version":"1.6.20~ds1","Details":{}}],
    "Version":"20.10.24+dfsg1","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;
const INFO: &str = r#"{"Driver":"overlay2","DriverStatus":[["Backing Filesystem","extfs"],["userxattr","false"]],
    "CgroupVersion":"1","OSType":"linux","Architecture":"x86_64","NCPU":2,"MemTotal":25276502016,
    "DockerRootDir":"/var/lib/docker","HttpProxy":"","HttpsProxy":"","NoProxy":"","ServerVersion":"20.10.24+dfsg1",
    "SecurityOptions":["name=seccomp,profile=default"],"Warnings":null}"#;

#[test]
fn classic_docker() {
    let facts = facts(
        &parse(VERSION),
        &parse(INFO),
        &Value::Null,
        Path::new("/var/run/docker.sock"),
    );
    assert_eq!(
        facts,
        EngineFacts {
            kind: EngineKind::Docker,
            version: "20.10.24+dfsg1".to_owned(),
            api_version: "1.41".to_owned(),
            storage_driver: "overlay2".to_owned(),
            containerd_store: false,
            rootless: false,
            data_root: "/var/lib/docker".to_owned(),
            containerd: None,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            cpus: 2,
            memory: 25_276_502_016,
            cgroup_version: "1".to_owned(),
            proxies: Vec::new(),
            socket: "/var/run/docker.sock".to_owned(),
        }
    );
}

#[test]
fn containerd_store_rootless_and_proxies() {
    let info = r#"{"Driver":"overlayfs","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],
        "CgroupVersion":"2","SecurityOptions":["name=seccomp,profile=builtin","name=rootless","name=cgroupns"],
        "HttpProxy":"http://proxy:3128","HttpsProxy":"http://proxy:3129","NoProxy":"localhost"}"#;
    let facts = facts(&parse("{}"), &parse(info), &Value::Null, Path::new("/s"));
    assert!(facts.containerd_store);
    assert!(facts.rootless);
    assert_eq!(facts.cgroup_version, "2");
    assert_eq!(facts.proxies, ["http://proxy:3128", "http://proxy:3129"]);
}

#[test]
fn podman_says_so_in_its_components() {
    let version = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1"}},
        {"Name":"Conmon","Version":"conmon version 2.1.6"}],"Version":"4.3.1","ApiVersion":"1.41","Arch":"arm64","Os":"linux"}"#;
    // 4.3 without root; its `/info` has no word of it.
    let libpod = r#"{"host":{"arch":"arm64","security":{"rootless":true}},"store":{}}"#;
    let facts = facts(
        &parse(version),
        &parse("{}"),
        &parse(libpod),
        Path::new("/s"),
    );
    assert_eq!(facts.kind, EngineKind::Podman);
    assert!(facts.rootless);
    assert_eq!(facts.version, "4.3.1");
    assert_eq!(facts.architecture, "arm64");
}

#[test]
fn architectures_in_oci_words() {
    for (machine, oci) in [
        ("x86_64", "amd64"),
        ("aarch64", "arm64"),
        ("amd64", "amd64"),
        ("riscv64", "riscv64"),
    ] {
        assert_eq!(oci_architecture(machine), oci);
    }
}

/// Docker 20.10 of Debian 12, shortened.
const RUNNING: &str = r#"{"Id":"4c0f","Created":"2026-11-23T13:00:00Z","Path":"sh","Args":[],
    "State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,
      "Pid":4711,"ExitCode":0,"Error":"","StartedAt":"2026-11-23T13:00:01.5Z","FinishedAt":"0001-01-01T00:00:00Z",
      "Health":{"Status":"unhealthy","FailingStreak":3,"Log":[
        {"Start":"2026-11-23T13:00:02Z","End":"2026-11-23T13:00:02Z","ExitCode":1,"Output":"first"},
        {"Start":"2026-11-23T13:00:03Z","End":"2026-11-23T13:00:03Z","ExitCode":1,"Output":" refused\n"}]}},
    "Image":"sha256:aa","Name":"/langfuse-web","RestartCount":2,"Driver":"overlay2","Platform":"linux",
    "HostConfig":{"NetworkMode":"langfuse-internal","ExtraHosts":["langfuse.com:127.0.0.1"],
      "RestartPolicy":{"Name":"unless-stopped","MaximumRetryCount":0}},
    "Config":{"Env":["SALT=x=y"],"Labels":{"io.lfctl.appliance":"langfuse","io.lfctl.part":"web"},"StopTimeout":120},
    "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],
        "443/tcp":null,"53/udp":[{"HostIp":"0.0.0.0","HostPort":"53"}]},
      "Networks":{"langfuse-internal":{"Aliases":["web"],"IPAddress":"172.18.0.2"},"langfuse-edge":{"IPAddress":""}}}}"#;

#[test]
fn a_running_container() {
    let container = container(&parse(RUNNING));
    assert_eq!(
        container,
        Container {
            id: "4c0f".to_owned(),
            name: "langfuse-web".to_owned(),
            image: "sha256:aa".to_owned(),
            labels: BTreeMap::from([
                ("io.lfctl.appliance".to_owned(), "langfuse".to_owned()),
                ("io.lfctl.part".to_owned(), "web".to_owned()),
            ]),
            state: ContainerState::Running,
            health: Some(HealthState::Unhealthy),
            health_output: Some("refused".to_owned()),
            restarts: 2,
            restart_policy: Some("unless-stopped".to_owned()),
            exit_code: None,
            oom_killed: false,
            started_at: Some("2026-11-23T13:00:01.5Z".to_owned()),
            addresses: BTreeMap::from([("langfuse-internal".to_owned(), "172.18.0.2".to_owned())]),
            ports: BTreeMap::from([(80, vec!["0.0.0.0:8080".to_owned(), "[::]:8080".to_owned()])]),
            pid: Some(4711),
            env: vec!["SALT=x=y".to_owned()].into(),
            extra_hosts: vec!["langfuse.com:127.0.0.1".to_owned()],
            stop_timeout: Some(120),
        }
    );
}

#[test]
fn an_ended_container_has_an_exit_code_and_no_pid() {
    let json = r#"{"Id":"1","Name":"job","State":{"Status":"exited","ExitCode":137,"OOMKilled":true,"Pid":0,
        "StartedAt":"2026-11-23T13:00:01Z"}}"#;
    let container = container(&parse(json));
    assert_eq!(container.state, ContainerState::Exited);
    assert_eq!(container.exit_code, Some(137));
    assert!(container.oom_killed);
    assert_eq!(container.pid, None);
    assert_eq!(container.health, None);
}

#[test]
fn a_created_container_never_ran() {
    let json = r#"{"Id":"1","Name":"/job","State":{"Status":"created","ExitCode":0,"StartedAt":"0001-01-01T00:00:00Z",
        "Health":{"Status":"none","FailingStreak":0,"Log":null}},"NetworkSettings":{"Ports":null,"Networks":null}}"#;
    let container = container(&parse(json));
    assert_eq!(container.state, ContainerState::Created);
    assert_eq!(container.exit_code, None);
    assert_eq!(container.started_at, None);
    assert_eq!(container.health, None);
}

#[test]
fn nothing_at_all_is_still_a_container() {
    assert_eq!(container(&parse("{}")).state, ContainerState::Other);
}

#[test]
fn images_with_and_without_the_algorithm() {
    let json = r#"{"Id":"sha256:aa","RepoTags":["a:1"],"RootFS":{"Type":"layers","Layers":["sha256:bb"]}}"#;
    let docker = image(&parse(json)).unwrap();
    assert_eq!(docker.id, "sha256:aa");
    assert_eq!(docker.diff_ids, ["sha256:bb"]);
    assert_eq!(docker.tags, ["a:1"]);
    let podman = image(&parse(r#"{"Id":"aa","RepoTags":null}"#)).unwrap();
    assert_eq!(podman.id, "sha256:aa");
    assert_eq!(image(&parse("{}")), None);
}

#[test]
fn errors_in_a_load_answer() {
    let good: BuildInfo = parse(r#"{"stream":"Loaded image: a:1\n"}"#);
    assert_eq!(load_error(&good), None);
    let bad: BuildInfo =
        parse(r#"{"errorDetail":{"message":"no space left"},"error":"no space left"}"#);
    assert_eq!(load_error(&bad).unwrap(), "no space left");
    let silent: BuildInfo = parse(r#"{"errorDetail":{}}"#);
    assert!(load_error(&silent).is_some());
}

#[test]
fn podmans_own_words() {
    let json = r#"{"Id":"1","Name":"a","State":{"Status":"stopped","ExitCode":7,
        "Healthcheck":{"Status":"healthy","FailingStreak":0,"Log":[]}}}"#;
    let container = container(&parse(json));
    assert_eq!(container.state, ContainerState::Exited);
    assert_eq!(container.exit_code, Some(7));
    assert_eq!(container.health, Some(HealthState::Healthy));
}

/// Podman 5.8 of a container that has ended; then words that no engine has yet,
/// and values of other types, wherever lfctl reads.
#[test]
fn words_that_nobody_knows_cost_no_answer() {
    let stopped = r#"{"Id":"1","Name":"a","State":{"Status":"exited","Health":{"Status":"stopped","Log":[]}}}"#;
    let stopped = container(&parse(stopped));
    assert_eq!(
        (stopped.state, stopped.health),
        (ContainerState::Exited, None)
    );

    let odd = r#"{"Id":"1","Name":"a","State":{"Status":"running","Pid":"many","ExitCode":null,"OOMKilled":"no",
          "Health":{"Status":"dreaming","Log":[{"Output":7},{"Output":"zzz"}]}},
        "HostConfig":{"RestartPolicy":{"Name":"on-tuesdays"},"Isolation":"new","CgroupnsMode":"new","ExtraHosts":{}},
        "Config":{"Labels":{"io.lfctl.part":"web","number":1},"Env":["A=b",3],"StopTimeout":"soon"},
        "Mounts":[{"Type":"new"}],"NetworkSettings":{"Ports":{"80/tcp":[{"HostPort":8080}],"x":null},"Networks":[]}}"#;
    let odd = container(&parse(odd));
    assert_eq!(odd.state, ContainerState::Running);
    assert_eq!(odd.health, Some(HealthState::Starting));
    assert_eq!(odd.health_output.as_deref(), Some("zzz"));
    assert_eq!(odd.restart_policy.as_deref(), Some("on-tuesdays"));
    assert_eq!(odd.labels.len(), 1);
    assert_eq!(*odd.env, ["A=b"]);
    assert_eq!((odd.pid, odd.stop_timeout), (None, None));

    let dreaming = container(&parse(r#"{"State":{"Status":"dreaming"}}"#));
    assert_eq!(dreaming.state, ContainerState::Other);
    let info = r#"{"CgroupDriver":"new","CgroupVersion":"3","Swarm":{"LocalNodeState":"new"},"NCPU":"two"}"#;
    let odd = facts(&parse("{}"), &parse(info), &Value::Null, Path::new("/s"));
    assert_eq!((odd.cgroup_version.as_str(), odd.cpus), ("3", 0));
    let volume = resource(&parse(r#"{"Name":"v","Scope":"galaxy","Labels":null}"#));
    assert_eq!(volume.name, "v");
}

#[test]
fn which_containerd_keeps_the_images() {
    let info = r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],
        "Containerd":{"Address":"/run/containerd/containerd.sock","Namespaces":{"Containers":"moby"}}}"#;
    let store = facts(&parse("{}"), &parse(info), &Value::Null, Path::new("/s"));
    assert_eq!(
        store.containerd.as_deref(),
        Some("/run/containerd/containerd.sock")
    );
    // Docker's own store keeps no image there, although it runs containers by it.
    let info = info.replace("driver-type", "x");
    let classic = facts(&parse("{}"), &parse(&info), &Value::Null, Path::new("/s"));
    assert_eq!(classic.containerd, None);
}
