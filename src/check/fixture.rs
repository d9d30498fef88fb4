//! The facts of a healthy appliance, for tests to spoil one at a time.

use std::collections::BTreeMap;

use super::fixture_backups::backups;
use crate::appliance::state::Status;
use crate::bundle::manifest::Release;
use crate::engine::{
    Container, ContainerState, EngineKind, HealthState, LABEL_CONFIG, LABEL_PART, Resource,
};
use crate::facts::certificate::{Certificate, PublicKey};
use crate::facts::egress::{Attempt, Ending, targets};
use crate::facts::subject::{Audit, Home, Secrets, Site};
use crate::facts::{Boot, CommandHealth, EventTrip, Fact, Facts, Subject};
use crate::host::firewall::Wall;
use crate::langfuse::schema::{SchemaState, ServerFacts};
use crate::langfuse::sdk::SdkCalls;
use crate::langfuse::{Health, UpdateCheck, UpdateVerdict};
use crate::stack::secret::SecretStore;
use crate::stack::{SchemaKind, Stack};
use crate::sys::disk::Disk;
use crate::sys::host::{Cpu, Host, Memory};
use crate::sys::masked::Masked;

/// What lies on the only disk.
pub(super) const DATA: &str = "images and data";
const GIB: u64 = 1024 * 1024 * 1024;

const STACK: &str = include_str!("fixture.toml");

const LANGFUSE_ENV: [&str; 6] = [
    "SALT=Xr3vW8",
    "TELEMETRY_ENABLED=false",
    "CLICKHOUSE_CLUSTER_ENABLED=false",
    "LANGFUSE_S3_EVENT_UPLOAD_ACCESS_KEY_ID=langfuse",
    "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY=Jq7",
    "DD_AGENT_HOST=",
];

fn config(service: &str) -> String {
    format!("config of {service}")
}

fn certificate() -> Certificate {
    Certificate {
        path: "/etc/ssl/langfuse.pem".to_owned(),
        key_path: "/etc/ssl/langfuse.key".to_owned(),
        key_mode: 0o640,
        names: ["langfuse.lan", "localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2027-12-01T00:00:00Z".parse().unwrap(),
        key: PublicKey::Rsa(2048),
        weak_digest: None,
    }
}

fn container(stack: &Stack, service: &str) -> Container {
    let stop = stack.service(service).unwrap().stop.timeout_seconds;
    let is_gateway = service == "gateway";
    let mut env: Vec<&str> = match service {
        "web" | "worker" => LANGFUSE_ENV.to_vec(),
        "minio" => vec!["MINIO_UPDATE=off"],
        _ => Vec::new(),
    };
    if service == "web" {
        env.extend([
            "CHECKPOINT_DISABLE=1",
            "LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED=true",
            "LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED=true",
        ]);
    }
    let mut addresses = BTreeMap::from([("lf-internal".to_owned(), "172.20.0.2".to_owned())]);
    if is_gateway {
        addresses.insert("lf-edge".to_owned(), "172.21.0.2".to_owned());
    }
    Container {
        id: format!("id-{service}"),
        name: format!("lf-{service}"),
        image: format!("sha256:{service}"),
        labels: BTreeMap::from([
            (LABEL_PART.to_owned(), service.to_owned()),
            (LABEL_CONFIG.to_owned(), config(service)),
        ]),
        state: ContainerState::Running,
        health: Some(HealthState::Healthy),
        health_output: None,
        restarts: 0,
        restart_policy: Some("unless-stopped".to_owned()),
        exit_code: None,
        oom_killed: false,
        started_at: None,
        addresses,
        ports: if is_gateway {
            BTreeMap::from([(8080, vec!["0.0.0.0:8080".to_owned()])])
        } else {
            BTreeMap::from([(3000, Vec::new())])
        },
        pid: Some(1),
        env: Masked(env.into_iter().map(str::to_owned).collect()),
        extra_hosts: Vec::new(),
        stop_timeout: Some(i64::try_from(stop).unwrap()),
    }
}

/// A host that starts Docker at boot.
pub(super) fn boot() -> Boot {
    Boot {
        units: BTreeMap::from([("docker.service", true)]),
        user: None,
    }
}

pub(super) fn installed() -> Subject {
    let stack: Stack = toml::from_str(STACK).unwrap();
    let images = stack
        .services
        .iter()
        .map(|service| (service.image.clone(), format!("sha256:{}", service.image)))
        .collect();
    let services = stack.services.iter();
    let wanted = services.map(|service| (service.name.clone(), config(&service.name)));
    let wanted = Fact::Known(wanted.collect());
    Subject {
        name: "lf".to_owned(),
        release: Release {
            name: "langfuse".to_owned(),
            version: "4.16.0".parse().unwrap(),
            counter: 7,
            sdk: BTreeMap::new(),
        },
        stack,
        images,
        site: Some(Site {
            listen: "0.0.0.0:8080".parse().unwrap(),
            tls: false,
            url: "http://langfuse.lan:8080".to_owned(),
            behind_proxy: false,
        }),
        keys: None,
        secrets: Secrets::Same(3),
        redactor: SecretStore::default().redactor(),
        state_dir: "/var/lib/lfctl/lf".into(),
        home: Some(Home {
            kind: EngineKind::Docker,
            place: None,
        }),
        status: Some(Status::Installed),
        stopped: [].into(),
        unfinished: Fact::Known(None),
        busy: false,
        updated: Some("2026-11-22T10:00:00Z".parse().unwrap()),
        lfctl: Some("0.1.0".to_owned()),
        wanted,
        routes: Vec::new(),
        certificate: Some(Fact::Known(certificate())),
        additive: BTreeMap::new(),
        site_problem: None,
        backups: Fact::Known(backups()),
        audit: Fact::Known(Audit {
            lines: 3,
            problems: Vec::new(),
        }),
    }
}

fn schema(applied: u32, last: &str) -> Fact<SchemaState> {
    Fact::Known(SchemaState {
        applied,
        last: Some(last.to_owned()),
        open: Vec::new(),
    })
}

fn host() -> Host {
    Host {
        hostname: "op".to_owned(),
        kernel: "6.1".to_owned(),
        machine: "x86_64".to_owned(),
        memory: Memory {
            total: 16 * GIB,
            available: 8 * GIB,
        },
        cpu: Cpu {
            count: 4,
            flags: ["sse4_2".to_owned()].into(),
        },
    }
}

/// Nothing to complain about.
#[expect(clippy::too_many_lines, reason = "every fact there is, once")]
pub(super) fn healthy() -> Facts {
    let installed = installed();
    let stack = &installed.stack;
    let services = stack.services.iter().map(|service| &service.name);
    let made = services.map(|name| (name.clone(), container(stack, name)));
    let containers = made.collect();
    let resource = |name: &str, internal| Resource {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        internal,
        directory: None,
    };
    let disk = Disk {
        path: "/var/lib/docker".into(),
        device: 1,
        mount_point: "/var".into(),
        fs_type: "ext4".to_owned(),
        total: 100 * GIB,
        free: 60 * GIB,
    };
    let attempts: Vec<_> = targets(&stack.call_home)
        .into_iter()
        .map(|target| Attempt {
            target,
            ending: Ending::Refused,
            code: "ECONNREFUSED".to_owned(),
            elapsed_ms: 1,
            address: Some("127.0.0.1".parse().unwrap()),
        })
        .collect();
    let server = |service: &str, kind, version: &str| {
        Fact::Known(ServerFacts {
            service: service.to_owned(),
            kind,
            version: version.to_owned(),
            time_zone: "UTC".to_owned(),
        })
    };
    Facts {
        now: "2026-11-23T10:00:00Z".parse().unwrap(),
        engine: Fact::Known(crate::engine::testing::facts()),
        boot: Fact::Known(Some(boot())),
        containers: Fact::Known(containers),
        networks: Fact::Known(vec![
            resource("lf-internal", true),
            resource("lf-edge", false),
        ]),
        volumes: Fact::Known(vec![resource("lf-postgres-data", false)]),
        host: Fact::Known(host()),
        disks: [(DATA, Fact::Known(disk))].into(),
        web: Fact::Known(Ok(Health {
            status: 200,
            version: Some("4.16.0".to_owned()),
            elapsed_ms: 4,
        })),
        worker: Fact::Known(CommandHealth {
            code: 0,
            output: String::new(),
        }),
        published: Fact::Known(Ok(())),
        firewall: Fact::Known(Wall::Closed),
        schemas: vec![schema(432, "20260813120000_add"), schema(46, "46")],
        background: Fact::Known(Vec::new()),
        servers: vec![
            server("postgres", SchemaKind::Prisma, "17.2"),
            server("clickhouse", SchemaKind::GolangMigrate, "25.12.3.21"),
        ],
        eviction: Some(Fact::Known("noeviction".to_owned())),
        crash_reports_off: BTreeMap::from([("clickhouse".to_owned(), Fact::Known(true))]),
        egress: ["web", "worker"]
            .map(|service| (service.to_owned(), Fact::Known(attempts.clone())))
            .into(),
        update: Fact::Known(UpdateCheck {
            verdict: UpdateVerdict::Graceful,
            status: Some(200),
            body: r#"{"result":{"data":{"json":null}}}"#.to_owned(),
            elapsed_ms: 12,
            log_line: Some(
                "error [trpc.public.checkUpdate] failed to fetch latest-release api".to_owned(),
            ),
        }),
        sdks: Fact::Known(vec![SdkCalls {
            name: "python".to_owned(),
            version: "4.7.0".to_owned(),
            calls: 100,
            statuses: [(200, 90), (404, 10)].into(),
            errors: [("/api/public/v2/prompts".to_owned(), 10)].into(),
        }]),
        event: Fact::Known(Ok(EventTrip {
            accepted_ms: 20,
            readable_ms: 700,
        })),
        subject: installed,
        change: None,
        nofile: Fact::not_asked(),
    }
}

/// Nothing could be seen.
pub(super) fn blind() -> Facts {
    fn unknown<T>() -> Fact<T> {
        Fact::Unknown("no answer".to_owned())
    }
    Facts {
        engine: unknown(),
        containers: unknown(),
        networks: unknown(),
        volumes: unknown(),
        host: unknown(),
        disks: [(DATA, unknown())].into(),
        web: unknown(),
        worker: unknown(),
        published: unknown(),
        firewall: unknown(),
        schemas: vec![unknown(), unknown()],
        background: unknown(),
        servers: vec![unknown(), unknown()],
        eviction: Some(unknown()),
        crash_reports_off: BTreeMap::from([("clickhouse".to_owned(), unknown())]),
        egress: BTreeMap::from([("web".to_owned(), unknown())]),
        update: unknown(),
        boot: unknown(),
        sdks: unknown(),
        event: unknown(),
        ..healthy()
    }
}
