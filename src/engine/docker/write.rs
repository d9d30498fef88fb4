//! From our specs to the engine's request bodies. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, NetworkCreateRequest, NetworkingConfig, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};

use super::seal::Dialect;
use crate::engine::{
    ContainerSpec, EngineKind, HealthSpec, LABEL_CONFIG, NetworkSpec, Owner, PortSpec, Reach,
    Resolver,
};

/// What a container without a network gets: nothing, and not the engine's
/// default bridge, which has a route out.
const NO_NETWORK: &str = "none";

pub(super) fn container(spec: &ContainerSpec, dialect: Dialect) -> ContainerCreateBody {
    let mut labels = labels(&spec.owner);
    labels.insert(LABEL_CONFIG.to_owned(), spec.config_hash.clone());
    let networking = spec
        .networks
        .first()
        .map(|(name, aliases)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                name.clone(),
                endpoint(aliases, spec.links.get(name)),
            )])),
        });
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: spec.user.clone(),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(
            spec.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        labels: Some(labels),
        exposed_ports: Some(exposed(&spec.ports)),
        healthcheck: Some(health(spec.health.as_ref())),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec
            .stop_timeout
            .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
        host_config: Some(host(spec, dialect)),
        networking_config: networking,
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec, dialect: Dialect) -> HostConfig {
    let network = spec
        .networks
        .first()
        .map_or(NO_NETWORK, |(name, _)| name.as_str());
    let confinement = spec.confinement.as_ref();
    HostConfig {
        network_mode: Some(network.to_owned()),
        restart_policy: Some(RestartPolicy {
            name: Some(match (spec.restart, dialect.kind) {
                (false, _) => RestartPolicyNameEnum::NO,
                (true, EngineKind::Docker) => RestartPolicyNameEnum::UNLESS_STOPPED,
                (true, EngineKind::Podman) => RestartPolicyNameEnum::ALWAYS,
            }),
            maximum_retry_count: None,
        }),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        tmpfs: Some(
            spec.tmpfs
                .iter()
                .map(|path| (path.clone(), String::new()))
                .collect(),
        ),
        extra_hosts: Some(spec.extra_hosts.clone()),
        dns: match spec.resolver {
            Resolver::Nobody => Some(vec![dialect.resolver()]),
            Resolver::Host => None,
            Resolver::At(address) => Some(vec![address.to_string()]),
        },
        // The host's search domains would make an unknown name two queries.
        dns_search: Some(vec![".".to_owned()]),
        dns_options: Some(spec.dns_options.clone()),
        sysctls: dialect.sysctls(spec),
        port_bindings: Some(port_bindings(&spec.ports)),
        ulimits: spec.nofile.map(|limit| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            vec![ResourcesUlimits {
                name: Some("nofile".to_owned()),
                soft: Some(limit),
                hard: Some(limit),
            }]
        }),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        cap_drop: confinement.map(|_| vec!["ALL".to_owned()]),
        cap_add: confinement.map(|confinement| confinement.capabilities.clone()),
        pids_limit: confinement.map(|confinement| i64::from(confinement.pids)),
        memory: confinement
            .and_then(|confinement| confinement.memory)
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        readonly_rootfs: confinement.map(|confinement| confinement.read_only),
        // Podman logs to the journal or to files it rotates itself; Docker's
        // default grows without end.
        log_config: (dialect.kind == EngineKind::Docker).then(|| HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

fn mount((volume, path): &(String, String)) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.clone()),
        target: Some(path.clone()),
        ..Mount::default()
    }
}

fn container_port(port: &PortSpec) -> String {
    format!("{}/tcp", port.container_port)
}

fn exposed(ports: &[PortSpec]) -> Vec<String> {
    let unique: BTreeSet<_> = ports.iter().map(container_port).collect();
    unique.into_iter().collect()
}

fn port_bindings(ports: &[PortSpec]) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in ports {
        bindings
            .entry(container_port(port))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: Some(port.host_ip.clone()),
                host_port: Some(port.host_port.to_string()),
            });
    }
    bindings
}

fn health(spec: Option<&HealthSpec>) -> HealthConfig {
    let Some(spec) = spec else {
        return HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        };
    };
    let mut test = vec!["CMD".to_owned()];
    test.extend(spec.command.iter().cloned());
    HealthConfig {
        test: Some(test),
        interval: Some(nanoseconds(spec.interval)),
        timeout: Some(nanoseconds(spec.timeout)),
        retries: Some(i64::from(spec.retries)),
        start_period: Some(nanoseconds(spec.start_period)),
        start_interval: None,
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn endpoint(aliases: &[String], links: Option<&Vec<String>>) -> EndpointSettings {
    EndpointSettings {
        aliases: Some(aliases.to_vec()),
        links: links.cloned(),
        ..EndpointSettings::default()
    }
}

pub(super) fn network(spec: &NetworkSpec, dialect: Dialect) -> NetworkCreateRequest {
    let mut options = dialect.network(spec.reach);
    if let (EngineKind::Docker, Some(bridge)) = (dialect.kind, &spec.bridge) {
        let name = "com.docker.network.bridge.name".to_owned();
        options.insert(name, bridge.clone());
    }
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(spec.reach == Reach::Siblings),
        enable_ipv6: Some(false),
        options: Some(options),
        labels: Some(spec.labels().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

pub(super) fn volume(name: &str, owner: &Owner) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some("local".to_owned()),
        labels: Some(labels(owner)),
        ..VolumeCreateRequest::default()
    }
}

fn labels(owner: &Owner) -> HashMap<String, String> {
    owner.labels().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::seal::DOCKER;
    use super::*;
    use crate::engine::ConfinementSpec;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "a-web".to_owned(),
            owner: Owner {
                appliance: "a".to_owned(),
                part: "web".to_owned(),
            },
            image: "sha256:00".to_owned(),
            user: Some("1001:1001".to_owned()),
            entrypoint: None,
            command: Some(vec!["true".to_owned()]),
            env: BTreeMap::from([("SALT".to_owned(), "x=y".to_owned())]).into(),
            networks: vec![
                ("a-internal".to_owned(), vec!["web".to_owned()]),
                ("a-edge".to_owned(), Vec::new()),
            ],
            links: BTreeMap::new(),
            resolver: Resolver::Nobody,
            mounts: vec![("a-data".to_owned(), "/data".to_owned())],
            tmpfs: vec!["/tmp".to_owned()],
            extra_hosts: vec!["langfuse.com:127.0.0.1".to_owned()],
            dns_options: vec!["timeout:1".to_owned()],
            ports: vec![
                PortSpec {
                    host_ip: "127.0.0.1".to_owned(),
                    host_port: 8080,
                    container_port: 80,
                },
                PortSpec {
                    host_ip: "::1".to_owned(),
                    host_port: 8080,
                    container_port: 80,
                },
            ],
            health: Some(HealthSpec {
                command: vec!["check".to_owned()],
                interval: Duration::from_secs(5),
                timeout: Duration::from_millis(1500),
                retries: 10,
                start_period: Duration::from_secs(2),
            }),
            stop_signal: Some("SIGQUIT".to_owned()),
            stop_timeout: Some(120),
            restart: true,
            nofile: Some(262_144),
            confinement: Some(ConfinementSpec {
                capabilities: vec!["CHOWN".to_owned()],
                pids: 64,
                memory: Some(1 << 30),
                read_only: true,
            }),
            config_hash: "abc".to_owned(),
        }
    }

    #[test]
    fn everything_reaches_the_request() {
        let body = container(&spec(), DOCKER);
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(body);
        });
    }

    #[test]
    fn what_restarts_is_told_in_the_words_of_the_engine() {
        for kind in [EngineKind::Docker, EngineKind::Podman] {
            let body = container(&spec(), Dialect { kind, ..DOCKER });
            let policy = body.host_config.unwrap().restart_policy.unwrap();
            assert_eq!(policy.name.unwrap().as_ref(), kind.restart_policy());
        }
    }

    #[test]
    fn podman_keeps_its_own_log_driver() {
        let podman = Dialect {
            kind: EngineKind::Podman,
            ..DOCKER
        };
        let host = container(&spec(), podman).host_config.unwrap();
        assert_eq!(host.log_config, None);
        assert_eq!(host.sysctls, None);
    }

    #[test]
    fn a_bare_container_has_no_network_and_no_health_check() {
        let bare = ContainerSpec {
            networks: Vec::new(),
            health: None,
            restart: false,
            ..spec()
        };
        let body = container(&bare, DOCKER);
        assert_eq!(
            body.healthcheck.unwrap().test,
            Some(vec!["NONE".to_owned()])
        );
        assert_eq!(body.networking_config, None);
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(
            host.restart_policy.unwrap().name,
            Some(RestartPolicyNameEnum::NO)
        );
    }
}
