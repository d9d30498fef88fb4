//! From an engine's answer about a container to our type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{elements, is_true, members, number, text, text_members, texts, unsigned};
use crate::engine::{Container, ContainerState, HealthState};

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Reads an answer about a container, whatever words the engine uses.
pub(in super::super) fn container(json: &Value) -> Container {
    let state = state(text(json, "/State/Status").as_deref());
    let (health, health_output) = health(json, state);
    let ended = matches!(state, ContainerState::Exited | ContainerState::Restarting);
    Container {
        id: text(json, "/Id").unwrap_or_default(),
        name: text(json, "/Name")
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        image: text(json, "/Image").unwrap_or_default(),
        labels: text_members(json, "/Config/Labels"),
        state,
        health,
        health_output,
        restarts: unsigned(json, "/RestartCount"),
        restart_policy: text(json, "/HostConfig/RestartPolicy/Name"),
        exit_code: number(json, "/State/ExitCode").filter(|_| ended),
        oom_killed: is_true(json, "/State/OOMKilled"),
        started_at: text(json, "/State/StartedAt").filter(|time| !time.is_empty() && time != NEVER),
        addresses: addresses(json),
        ports: ports(json),
        pid: number(json, "/State/Pid").filter(|pid| *pid > 0),
        env: texts(json, "/Config/Env").into(),
        extra_hosts: texts(json, "/HostConfig/ExtraHosts"),
        // Podman writes 0 where it was given nothing.
        stop_timeout: number(json, "/Config/StopTimeout").filter(|seconds| *seconds > 0),
    }
}

fn state(word: Option<&str>) -> ContainerState {
    match word {
        // The latter two are Podman's.
        Some("created" | "configured" | "initialized") => ContainerState::Created,
        Some("running") => ContainerState::Running,
        Some("restarting") => ContainerState::Restarting,
        Some("paused") => ContainerState::Paused,
        // Podman's `stopped` has ended and is not cleaned up yet.
        Some("exited" | "stopped") => ContainerState::Exited,
        _ => ContainerState::Other,
    }
}

fn health(json: &Value, state: ContainerState) -> (Option<HealthState>, Option<String>) {
    // Old Podmans call it `Healthcheck`.
    let health = json
        .pointer("/State/Health")
        .or_else(|| json.pointer("/State/Healthcheck"))
        .unwrap_or(&Value::Null);
    let verdict = match text(health, "/Status").as_deref() {
        Some("starting") => HealthState::Starting,
        Some("healthy") => HealthState::Healthy,
        Some("unhealthy") => HealthState::Unhealthy,
        Some("" | "none") | None => return (None, None),
        // Podman 5.8 says `stopped` once the container has ended. A new word
        // for one that runs is no verdict yet.
        Some(_) if state == ContainerState::Running => HealthState::Starting,
        Some(_) => return (None, None),
    };
    let output = elements(health, "/Log")
        .last()
        .and_then(|result| text(result, "/Output"))
        .map(|output| output.trim().to_owned())
        .filter(|output| !output.is_empty());
    (Some(verdict), output)
}

fn addresses(json: &Value) -> BTreeMap<String, String> {
    members(json, "/NetworkSettings/Networks")
        .filter_map(|(name, endpoint)| Some((name.clone(), text(endpoint, "/IPAddress")?)))
        .filter(|(_, address)| !address.is_empty())
        .collect()
}

fn ports(json: &Value) -> BTreeMap<u16, Vec<String>> {
    let mut ports = BTreeMap::new();
    for (container, bindings) in members(json, "/NetworkSettings/Ports") {
        let number = container.strip_suffix("/tcp").unwrap_or(container);
        let Ok(number) = number.parse::<u16>() else {
            continue;
        };
        let hosts: Vec<_> = elements(bindings, "").filter_map(binding).collect();
        if !hosts.is_empty() {
            ports.insert(number, hosts);
        }
    }
    ports
}

/// `ip:port` of the host.
fn binding(json: &Value) -> Option<String> {
    let port = text(json, "/HostPort").filter(|port| !port.is_empty())?;
    let ip = text(json, "/HostIp").filter(|ip| !ip.is_empty());
    let ip = ip.as_deref().unwrap_or("0.0.0.0");
    Some(if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    })
}
