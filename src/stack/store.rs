//! The stores of a stack: where its data lies, and how a backup gets at it.

use serde::{Deserialize, Serialize};

/// A store, by the server that keeps it. None of its commands holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Store {
    /// The queue.
    Redis {
        service: String,
        /// `redis-cli`, to which a command is appended.
        client: Vec<String>,
        /// Absolute path of its data in the container.
        directory: String,
    },
    /// The rows of events.
    Clickhouse {
        service: String,
        /// `clickhouse-client`, to which `--query` and a statement are appended.
        client: Vec<String>,
        /// Absolute path of its data in the container.
        directory: String,
        /// Owner of its files as `uid:gid`.
        owner: String,
    },
    /// Everything else that is a row.
    Postgres {
        service: String,
        /// `psql`, to which options are appended.
        client: Vec<String>,
        /// `pg_dump` in the custom format, to which options are appended.
        dump: Vec<String>,
        /// `pg_restore`, which reads the dump on standard input.
        restore: Vec<String>,
        /// Absolute path of its data in the container.
        directory: String,
    },
    /// Raw events, media and exports, by the S3 API.
    Blobs {
        service: String,
        /// Name of the bucket.
        bucket: String,
        /// Region that requests are signed for.
        region: String,
        /// Port of the S3 API in the container.
        port: u16,
        access_key: String,
        /// Name of the secret that belongs to it.
        secret_key: String,
        /// Command in the container that passes standard input to that port,
        /// and its answers to standard output.
        connect: Vec<String>,
        /// Absolute path of its data in the container.
        directory: String,
    },
}

impl Store {
    /// The service that keeps it.
    pub fn service(&self) -> &str {
        match self {
            Self::Redis { service, .. }
            | Self::Clickhouse { service, .. }
            | Self::Postgres { service, .. }
            | Self::Blobs { service, .. } => service,
        }
    }

    /// Absolute path of its data in the container.
    pub fn directory(&self) -> &str {
        match self {
            Self::Redis { directory, .. }
            | Self::Clickhouse { directory, .. }
            | Self::Postgres { directory, .. }
            | Self::Blobs { directory, .. } => directory,
        }
    }

    /// Its place in a consistent cut: the queue before the rows, the objects
    /// that both name last.
    pub fn rank(&self) -> usize {
        match self {
            Self::Redis { .. } => 0,
            Self::Clickhouse { .. } => 1,
            Self::Postgres { .. } => 2,
            Self::Blobs { .. } => 3,
        }
    }

    /// Name in a snapshot and in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redis { .. } => "redis",
            Self::Clickhouse { .. } => "clickhouse",
            Self::Postgres { .. } => "postgres",
            Self::Blobs { .. } => "blobs",
        }
    }
}
