//! The schemas of the databases, as a definition knows them.

use serde::{Deserialize, Serialize};

/// A schema whose state is read from the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    /// Whose bookkeeping table it is.
    pub kind: SchemaKind,
    /// The service in which `query` runs.
    pub service: String,
    /// Command to which one SQL statement is appended; it prints rows with
    /// tab-separated columns. Never holds a secret.
    pub query: Vec<String>,
    /// Migrations that the release brings. A spec may leave them out together
    /// with `last`: then `bundle create` takes both from the image.
    #[serde(default)]
    pub count: u32,
    /// Name (Prisma) or version number (golang-migrate) of the last one.
    #[serde(default)]
    pub last: String,
}

impl Schema {
    /// Whether its migrations are left to the image.
    pub fn is_open(&self) -> bool {
        self.count == 0 && self.last.is_empty()
    }
}

/// Tools whose bookkeeping lfctl can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaKind {
    /// Prisma's `_prisma_migrations` in Postgres.
    Prisma,
    /// golang-migrate's append-only `schema_migrations` in `ClickHouse`.
    GolangMigrate,
}

impl std::fmt::Display for SchemaKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prisma => "Prisma",
            Self::GolangMigrate => "golang-migrate",
        })
    }
}
