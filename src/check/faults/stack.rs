//! The containers and their configuration.

use super::table::{BLOCK, Case, WARN, container, known, refused, set};
use crate::appliance::state::Status;
use crate::engine::{ContainerState, HealthState, LABEL_CONFIG};
use crate::langfuse::sdk::SdkCalls;

/// Faults of the containers.
pub(super) const STACK: &[Case] = &[
    (
        |f| f.subject.status = Some(Status::Installing),
        "appliance.unfinished",
        BLOCK,
    ),
    (
        |f| {
            let labels = &mut container(f, "web").labels;
            labels.insert(LABEL_CONFIG.to_owned(), "as installed".to_owned());
        },
        "config.applied",
        WARN,
    ),
    (
        |f| container(f, "web").image = "sha256:other".to_owned(),
        "stack.images",
        BLOCK,
    ),
    (
        |f| container(f, "web").state = ContainerState::Exited,
        "stack.services",
        BLOCK,
    ),
    (
        |f| {
            container(f, "web").state = ContainerState::Exited;
            f.subject.stopped.insert("web".to_owned());
        },
        "stack.services",
        WARN,
    ),
    (
        |f| {
            container(f, "web").state = ContainerState::Exited;
            container(f, "worker").state = ContainerState::Exited;
            f.subject.stopped.insert("web".to_owned());
        },
        "stack.services",
        BLOCK,
    ),
    (
        |f| container(f, "worker").health = Some(HealthState::Unhealthy),
        "stack.services",
        BLOCK,
    ),
    (
        |f| container(f, "worker").health = Some(HealthState::Starting),
        "stack.services",
        WARN,
    ),
    (
        |f| drop(known(&mut f.containers).remove("gateway")),
        "stack.services",
        BLOCK,
    ),
    (|f| container(f, "web").restarts = 1, "stack.restarts", WARN),
    (
        |f| container(f, "web").restarts = 3,
        "stack.restarts",
        BLOCK,
    ),
    (
        |f| container(f, "minio").oom_killed = true,
        "stack.out-of-memory",
        BLOCK,
    ),
    (|f| known(&mut f.volumes).clear(), "stack.volumes", BLOCK),
    (
        |f| container(f, "worker").stop_timeout = None,
        "stack.stop-timeout",
        WARN,
    ),
    (
        |f| container(f, "web").stop_timeout = Some(119),
        "stack.stop-timeout",
        WARN,
    ),
    (
        |f| *known(&mut f.published) = Err(refused()),
        "stack.gateway",
        BLOCK,
    ),
    (
        |f| *known(&mut f.web) = Err(refused()),
        "stack.web-version",
        BLOCK,
    ),
    (
        |f| known(&mut f.web).as_mut().unwrap().status = 500,
        "stack.web-version",
        BLOCK,
    ),
    (
        |f| known(&mut f.web).as_mut().unwrap().version = Some("4.15.0".to_owned()),
        "stack.web-version",
        BLOCK,
    ),
    (
        |f| known(&mut f.worker).code = 1,
        "stack.worker-health",
        BLOCK,
    ),
    (
        |f| set(f, "minio", "MINIO_ROOT_PASSWORD", "miniosecret"),
        "config.stock-secrets",
        BLOCK,
    ),
    (|f| set(f, "web", "SALT", "another"), "config.parity", BLOCK),
    (
        |f| set(f, "worker", "CLICKHOUSE_CLUSTER_ENABLED", ""),
        "config.cluster-flag",
        BLOCK,
    ),
    (
        |f| {
            known(&mut f.sdks).push(SdkCalls {
                name: "python".to_owned(),
                version: "5.0.1".to_owned(),
                calls: 40,
                statuses: [(200, 20), (400, 20)].into(),
                errors: [("/api/public/scores".to_owned(), 20)].into(),
            });
        },
        "stack.sdk",
        WARN,
    ),
    (
        |f| {
            set(
                f,
                "web",
                "LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED",
                "TRUE",
            );
        },
        "config.auto-migration",
        BLOCK,
    ),
];
