//! Ways out.

use super::table::{BLOCK, Case, WARN, attempt, container, known, reach, set};
use crate::host::firewall::Wall;
use crate::langfuse::UpdateVerdict;

/// Verdicts on the update check.
pub(super) const UPDATE: &[Case] = &[
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::Slow,
        "egress.update-check",
        WARN,
    ),
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::Hung,
        "egress.update-check",
        BLOCK,
    ),
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::Broken,
        "egress.update-check",
        BLOCK,
    ),
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::EgressOpen,
        "egress.update-check",
        BLOCK,
    ),
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::Answered,
        "egress.update-check",
        BLOCK,
    ),
    (
        |f| known(&mut f.update).verdict = UpdateVerdict::Unproven,
        "egress.update-check",
        WARN,
    ),
];

/// Ways out.
pub(super) const WAYS: &[Case] = &[
    (
        |f| reach(attempt(f, 0), "76.76.21.21"),
        "egress.call-home",
        BLOCK,
    ),
    (
        |f| reach(attempt(f, 0), "127.0.0.1"),
        "egress.call-home",
        WARN,
    ),
    (
        |f| attempt(f, 0).elapsed_ms = 1000,
        "egress.call-home",
        WARN,
    ),
    (
        |f| reach(attempt(f, 2), "1.1.1.1"),
        "egress.no-route",
        BLOCK,
    ),
    (
        |f| reach(attempt(f, 3), "93.184.216.34"),
        "egress.no-route",
        BLOCK,
    ),
    (
        |f| attempt(f, 3).address = Some("93.184.216.34".parse().unwrap()),
        "egress.no-route",
        WARN,
    ),
];

/// Switches that are on.
pub(super) const SWITCHES: &[Case] = &[
    (
        |f| known(&mut f.networks)[0].internal = false,
        "egress.networks",
        BLOCK,
    ),
    (|f| known(&mut f.networks).clear(), "egress.networks", BLOCK),
    (
        |f| {
            drop(
                container(f, "web")
                    .addresses
                    .insert("bridge".to_owned(), "172.17.0.2".to_owned()),
            );
        },
        "egress.networks",
        BLOCK,
    ),
    (
        |f| {
            drop(
                container(f, "minio")
                    .ports
                    .insert(9000, vec!["0.0.0.0:9000".to_owned()]),
            );
        },
        "egress.networks",
        BLOCK,
    ),
    (
        |f| *known(&mut f.firewall) = Wall::Open,
        "egress.firewall",
        WARN,
    ),
    (
        |f| *known(&mut f.firewall) = Wall::NoBridge,
        "egress.firewall",
        WARN,
    ),
    (
        |f| *known(&mut f.firewall) = Wall::NoTool,
        "egress.firewall",
        WARN,
    ),
    (
        |f| set(f, "web", "TELEMETRY_ENABLED", "true"),
        "egress.switches",
        BLOCK,
    ),
    (
        |f| set(f, "web", "CHECKPOINT_DISABLE", ""),
        "egress.switches",
        BLOCK,
    ),
    (
        |f| set(f, "minio", "MINIO_UPDATE", "on"),
        "egress.switches",
        BLOCK,
    ),
    (
        |f| set(f, "worker", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318"),
        "egress.exporters",
        WARN,
    ),
    (
        |f| *known(f.crash_reports_off.get_mut("clickhouse").unwrap()) = false,
        "egress.switches",
        BLOCK,
    ),
    (
        |f| set(f, "worker", "LANGFUSE_S3_EVENT_UPLOAD_ACCESS_KEY_ID", ""),
        "egress.credentials",
        WARN,
    ),
];
