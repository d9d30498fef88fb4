//! From the engine's answers to our types. Pure; every field may be missing,
//! since Podman leaves some out and old engines did not know all of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bollard::models::{
    BuildInfo, ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum,
    HealthStatusEnum, ImageInspect, NetworkSettings, SystemInfo, SystemVersion,
};

use serde_json::Value;

use crate::engine::{
    Container, ContainerState, EngineFacts, EngineImage, EngineKind, HealthState, Resource,
};

/// `DriverStatus` entry by which Docker tells that images live in containerd.
const CONTAINERD_DRIVER: &str = "io.containerd.snapshotter.v1";
/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn kind(version: &SystemVersion) -> EngineKind {
    let podman = version
        .components
        .iter()
        .flatten()
        .any(|component| component.name.contains("Podman"));
    if podman {
        EngineKind::Podman
    } else {
        EngineKind::Docker
    }
}

pub(super) fn facts(version: SystemVersion, info: SystemInfo, socket: &Path) -> EngineFacts {
    let containerd_store = info
        .driver_status
        .iter()
        .flatten()
        .any(|pair| matches!(pair.as_slice(), [key, value] if key == "driver-type" && value == CONTAINERD_DRIVER));
    let rootless = info
        .security_options
        .iter()
        .flatten()
        .any(|option| option.split(',').any(|part| part == "name=rootless"));
    let proxies = [info.http_proxy, info.https_proxy]
        .into_iter()
        .flatten()
        .filter(|proxy| !proxy.is_empty())
        .collect();
    EngineFacts {
        kind: kind(&version),
        version: version.version.or(info.server_version).unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        containerd_store,
        rootless,
        data_root: info.docker_root_dir.unwrap_or_default(),
        os: version.os.or(info.os_type).unwrap_or_default(),
        architecture: oci_architecture(&version.arch.or(info.architecture).unwrap_or_default()),
        cpus: unsigned(info.ncpu),
        memory: unsigned(info.mem_total),
        cgroup_version: info
            .cgroup_version
            .map(|version| version.to_string())
            .unwrap_or_default(),
        proxies,
        socket: socket.display().to_string(),
    }
}

fn oci_architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
    .to_owned()
}

fn unsigned(value: Option<i64>) -> u64 {
    value
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(0)
}

pub(super) fn image(inspect: ImageInspect) -> Option<EngineImage> {
    let id = inspect.id?;
    let id = if id.contains(':') {
        id
    } else {
        format!("sha256:{id}")
    };
    Some(EngineImage {
        id,
        diff_ids: inspect
            .root_fs
            .and_then(|root_fs| root_fs.layers)
            .unwrap_or_default(),
        tags: inspect.repo_tags.unwrap_or_default(),
    })
}

pub(super) fn resource(
    name: Option<String>,
    labels: Option<HashMap<String, String>>,
    internal: Option<bool>,
) -> Resource {
    Resource {
        name: name.unwrap_or_default(),
        labels: labels.unwrap_or_default().into_iter().collect(),
        internal: internal.unwrap_or(false),
    }
}

/// Words that Podman has for states of Docker's.
fn docker_status(status: &str) -> &str {
    match status {
        "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead"
        | "stopping" => status,
        "stopped" => "exited",
        "configured" | "initialized" => "created",
        _ => "",
    }
}

/// Reads an answer about a container. Old Podmans call the health of a
/// container `Healthcheck`.
pub(super) fn container_json(mut json: Value) -> Result<Container, serde_json::Error> {
    if let Some(Value::Object(state)) = json.get_mut("State") {
        if let Some(Value::String(status)) = state.get_mut("Status") {
            *status = docker_status(status).to_owned();
        }
        if let Some(health) = state.remove("Healthcheck") {
            state.entry("Health").or_insert(health);
        }
    }
    serde_json::from_value(json).map(container)
}

fn container(inspect: ContainerInspectResponse) -> Container {
    let engine_state = inspect.state.unwrap_or_default();
    let state = state(&engine_state);
    let (health, health_output) = health(&engine_state);
    let ended = matches!(state, ContainerState::Exited | ContainerState::Restarting);
    let config = inspect.config.unwrap_or_default();
    let network = inspect.network_settings.unwrap_or_default();
    Container {
        id: inspect.id.unwrap_or_default(),
        name: inspect
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        image: inspect.image.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        state,
        health,
        health_output,
        restarts: unsigned(inspect.restart_count),
        exit_code: engine_state.exit_code.filter(|_| ended),
        oom_killed: engine_state.oom_killed.unwrap_or(false),
        started_at: engine_state
            .started_at
            .filter(|time| !time.is_empty() && time != NEVER),
        addresses: addresses(&network),
        ports: ports(&network),
        pid: engine_state.pid.filter(|pid| *pid > 0),
        env: config.env.unwrap_or_default().into(),
        extra_hosts: inspect
            .host_config
            .and_then(|host| host.extra_hosts)
            .unwrap_or_default(),
        // Podman writes 0 where it was given nothing.
        stop_timeout: config.stop_timeout.filter(|seconds| *seconds > 0),
    }
}

fn state(state: &EngineState) -> ContainerState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::EXITED) => ContainerState::Exited,
        _ => ContainerState::Other,
    }
}

fn health(state: &EngineState) -> (Option<HealthState>, Option<String>) {
    let Some(health) = &state.health else {
        return (None, None);
    };
    let verdict = match health.status {
        Some(HealthStatusEnum::STARTING) => HealthState::Starting,
        Some(HealthStatusEnum::HEALTHY) => HealthState::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => HealthState::Unhealthy,
        Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) | None => return (None, None),
    };
    let output = health
        .log
        .as_ref()
        .and_then(|log| log.last())
        .and_then(|result| result.output.as_ref())
        .map(|output| output.trim().to_owned())
        .filter(|output| !output.is_empty());
    (Some(verdict), output)
}

fn addresses(network: &NetworkSettings) -> BTreeMap<String, String> {
    network
        .networks
        .iter()
        .flatten()
        .filter_map(|(name, endpoint)| Some((name.clone(), endpoint.ip_address.clone()?)))
        .filter(|(_, address)| !address.is_empty())
        .collect()
}

fn ports(network: &NetworkSettings) -> BTreeMap<u16, Vec<String>> {
    let mut ports = BTreeMap::new();
    for (container, bindings) in network.ports.iter().flatten() {
        let number = container.strip_suffix("/tcp").unwrap_or(container);
        let (Ok(number), Some(bindings)) = (number.parse::<u16>(), bindings) else {
            continue;
        };
        let hosts: Vec<_> = bindings
            .iter()
            .filter_map(|binding| {
                let port = binding
                    .host_port
                    .as_deref()
                    .filter(|port| !port.is_empty())?;
                let ip = match binding.host_ip.as_deref() {
                    None | Some("") => "0.0.0.0",
                    Some(ip) => ip,
                };
                Some(if ip.contains(':') {
                    format!("[{ip}]:{port}")
                } else {
                    format!("{ip}:{port}")
                })
            })
            .collect();
        if !hosts.is_empty() {
            ports.insert(number, hosts);
        }
    }
    ports
}

/// The error in one message of a load's answer, if it is one.
pub(super) fn load_error(message: &BuildInfo) -> Option<String> {
    let detail = message.error_detail.as_ref()?;
    Some(match (&detail.message, detail.code) {
        (Some(text), _) => text.clone(),
        (None, Some(code)) => format!("error code {code}"),
        (None, None) => "an error without words".to_owned(),
    })
}

#[cfg(test)]
mod tests;
