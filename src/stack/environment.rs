//! What Langfuse's own environment rules say about variables, as far as lfctl
//! must know them before anything starts.
//!
//! Langfuse checks its environment only after it has migrated, in part not at
//! all, and a web with a bad one answers 500 without end instead of exiting. So
//! the rules that have hurt are here, for the stack definition and for what
//! the operator adds to it.

use std::collections::BTreeMap;

use super::{Service, Stack, Template};

/// Web's switch that keeps its entrypoint from migrating Postgres.
pub const POSTGRES_MIGRATION_SWITCH: &str = "LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED";
/// Web's switch that keeps its entrypoint from migrating `ClickHouse`.
pub const CLICKHOUSE_MIGRATION_SWITCH: &str = "LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED";
/// How Langfuse 4 writes events: `legacy`, `dual` or `events_only`.
pub const WRITE_MODE: &str = "LANGFUSE_MIGRATION_V4_WRITE_MODE";
/// Where Langfuse 4 puts what arrives by OpenTelemetry: `dual_write` or `direct`.
pub const OTEL_BEHAVIOUR: &str = "LANGFUSE_MIGRATION_V4_NATIVE_OTEL_BEHAVIOUR";
/// Whether the new interfaces of Langfuse 4 may be used.
pub const PREVIEW_OPT_IN: &str = "LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN";
/// Whether Langfuse 4 copies what older releases stored.
pub const HISTORIC_BACKFILL: &str = "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL";
/// Whether Langfuse 4 drops the tables of the copy.
pub const DROP_SORTING_TABLES: &str =
    "LANGFUSE_BACKGROUND_MIGRATION_V4_DROP_PID_TID_SORTING_TABLES";

/// Whether web and worker must agree on this variable.
pub fn is_shared(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "DATABASE_URL",
        "ENCRYPTION_KEY",
        "SALT",
        "NEXTAUTH_URL",
        "LANGFUSE_EE_LICENSE_KEY",
    ];
    const PREFIXES: &[&str] = &[
        "CLICKHOUSE_",
        "REDIS_",
        "LANGFUSE_S3_EVENT_",
        "LANGFUSE_S3_MEDIA_UPLOAD_",
        "LANGFUSE_S3_BATCH_EXPORT_",
        "LANGFUSE_MIGRATION_V4_",
        "LANGFUSE_BACKGROUND_MIGRATION_V4_",
    ];
    // Signed for those who use the URL: browsers for web, the stack for worker.
    name != "LANGFUSE_S3_MEDIA_UPLOAD_ENDPOINT"
        && (EXACT.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || name.ends_with("_SHARD_COUNT"))
}

/// Whether the release only proposes a value that the site may replace.
pub fn is_proposal(name: &str) -> bool {
    // Closed by default: the first administrator exists. A site with its own
    // identity provider, or that invites people, has to open it.
    name == "AUTH_DISABLE_SIGNUP"
}

/// The values that Langfuse takes for this variable, where it takes only some.
pub fn choices(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "LANGFUSE_LOG_LEVEL" => Some(&["trace", "debug", "info", "warn", "error", "fatal"]),
        "LANGFUSE_LOG_FORMAT" => Some(&["text", "json"]),
        name if is_boolean(name) => Some(&["true", "false"]),
        _ => None,
    }
}

/// Whether Langfuse takes exactly `true` and `false` for this variable.
pub fn is_boolean(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "AUTH_DISABLE_SIGNUP",
        "AUTH_DISABLE_USERNAME_PASSWORD",
        "LANGFUSE_CSP_ENFORCE_HTTPS",
        "LANGFUSE_ENABLE_BACKGROUND_MIGRATIONS",
        "LANGFUSE_BULLMQ_SKIP_REDIS_VERSION_CHECK",
        "ENABLE_AWS_CLOUDWATCH_METRIC_PUBLISHING",
        POSTGRES_MIGRATION_SWITCH,
        CLICKHOUSE_MIGRATION_SWITCH,
        PREVIEW_OPT_IN,
        HISTORIC_BACKFILL,
        DROP_SORTING_TABLES,
    ];
    EXACT.contains(&name)
        || name.ends_with("_ENABLED")
        || name.ends_with("_ALLOW_ACCOUNT_LINKING")
        || name.ends_with("_FORCE_PATH_STYLE")
}

/// Why a combination of write mode, OpenTelemetry behaviour and opt-in makes a
/// worker of Langfuse 4 exit, or `None` when it is legal.
pub fn illegal_v4_flags(write_mode: &str, otel: &str, opt_in: &str) -> Option<&'static str> {
    match (write_mode, otel, opt_in) {
        ("legacy", "direct", _) => Some("write mode `legacy` does not go with `direct`"),
        ("events_only", "dual_write", _) => {
            Some("write mode `events_only` does not go with `dual_write`")
        }
        ("events_only", _, "false") => {
            Some("write mode `events_only` does not go without the preview opt-in")
        }
        ("legacy" | "dual" | "events_only", "dual_write" | "direct", "true" | "false") => None,
        _ => Some("a value that Langfuse does not know"),
    }
}

/// Environment variables by name.
pub type Environment<'a> = BTreeMap<&'a str, &'a Template>;

impl Stack {
    /// Groups merged in order, then own variables. Unknown groups are
    /// skipped; [`super::validate`] reports them.
    pub fn environment<'a>(
        &'a self,
        groups: &'a [String],
        own: &'a BTreeMap<String, Template>,
    ) -> Environment<'a> {
        groups
            .iter()
            .filter_map(|group| self.env.get(group))
            .chain([own])
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }

    /// Everything the definition sets for a service.
    pub fn service_environment<'a>(&'a self, service: &'a Service) -> Environment<'a> {
        self.environment(&service.env_groups, &service.env)
    }

    /// The services in the order in which they start.
    pub fn start_order(&self) -> Vec<&Service> {
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by_key(|service| service.stage);
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_web_and_worker_share() {
        for shared in [
            "CLICKHOUSE_CLUSTER_ENABLED",
            "REDIS_KEY_PREFIX",
            "LANGFUSE_S3_MEDIA_UPLOAD_BUCKET",
            "LANGFUSE_INGESTION_QUEUE_SHARD_COUNT",
            WRITE_MODE,
        ] {
            assert!(is_shared(shared), "{shared}");
        }
        for own in [
            "LANGFUSE_S3_MEDIA_UPLOAD_ENDPOINT",
            "NEXTAUTH_SECRET",
            "PORT",
        ] {
            assert!(!is_shared(own), "{own}");
        }
    }

    #[test]
    fn knows_the_combinations_a_worker_refuses() {
        assert_eq!(illegal_v4_flags("events_only", "direct", "true"), None);
        assert_eq!(illegal_v4_flags("dual", "dual_write", "false"), None);
        assert_eq!(illegal_v4_flags("legacy", "dual_write", "false"), None);
        for (mode, otel, opt_in) in [
            ("legacy", "direct", "false"),
            ("events_only", "dual_write", "true"),
            ("events_only", "direct", "false"),
            ("both", "direct", "true"),
            ("dual", "direct", "yes"),
        ] {
            assert!(illegal_v4_flags(mode, otel, opt_in).is_some(), "{mode}");
        }
    }
}
