//! Migrations that a release brings, as the layers of its image show them.
//!
//! A definition that names their number and the last of them may be wrong the
//! day its image moves; one that leaves them out takes them from the image.

use super::sbom::ImageContent;
use crate::stack::{Schema, SchemaKind, Stack};

/// The longest name of a migration: that of a directory.
const LONGEST: usize = 255;

/// The migrations of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// How many.
    pub count: u32,
    /// Name (Prisma) or version number (golang-migrate) of the last one.
    pub last: String,
}

impl std::fmt::Display for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} up to `{}`", self.count, self.last)
    }
}

impl Migrations {
    /// Those that a definition names, unless it leaves them to the image.
    pub fn named(schema: &Schema) -> Option<Self> {
        (!schema.is_open()).then(|| Self {
            count: schema.count,
            last: schema.last.clone(),
        })
    }

    /// Those of an image, if it holds any of this tool.
    pub fn found(image: &ImageContent, kind: SchemaKind) -> Option<Self> {
        let names = image.migrations.get(&kind)?;
        let last = match kind {
            SchemaKind::Prisma => names.last()?.clone(),
            SchemaKind::GolangMigrate => {
                let numbers = names.iter().filter_map(|name| number(name));
                numbers.max()?.to_string()
            }
        };
        Some(Self {
            count: u32::try_from(names.len()).ok()?,
            last,
        })
    }

    fn fill(self, schema: &mut Schema) {
        schema.count = self.count;
        schema.last = self.last;
    }
}

/// Why a definition and its image do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationsError {
    /// They name different migrations.
    #[error("definition names {named} as migrations of {kind}, its image has {found}")]
    Mismatch {
        /// The tool.
        kind: SchemaKind,
        /// What the definition says.
        named: Migrations,
        /// What the image holds.
        found: Migrations,
    },
    /// Neither says anything.
    #[error("definition names no migrations of {0}, and none are found in its image")]
    Nowhere(SchemaKind),
}

/// Completes a definition by what its image holds. Returns the tools whose
/// migrations are named and not found, so that nobody compared them.
///
/// # Errors
///
/// Both name migrations and differ, or neither does.
pub fn settle(stack: &mut Stack, image: &ImageContent) -> Result<Vec<SchemaKind>, MigrationsError> {
    let mut unseen = Vec::new();
    for schema in &mut stack.schemas {
        let kind = schema.kind;
        match (Migrations::named(schema), Migrations::found(image, kind)) {
            (Some(named), Some(found)) if named != found => {
                return Err(MigrationsError::Mismatch { kind, named, found });
            }
            (Some(_), Some(_)) => {}
            (Some(_), None) => unseen.push(kind),
            (None, Some(found)) => found.fill(schema),
            (None, None) => return Err(MigrationsError::Nowhere(kind)),
        }
    }
    Ok(unseen)
}

/// The same definition with the longest migrations there can be wherever it
/// leaves them to the image: what room is reserved for.
pub fn largest(stack: &Stack) -> Stack {
    let mut stack = stack.clone();
    for schema in stack.schemas.iter_mut().filter(|schema| schema.is_open()) {
        let last = "x".repeat(LONGEST);
        Migrations {
            count: u32::MAX,
            last,
        }
        .fill(schema);
    }
    stack
}

/// The number that a file of golang-migrate begins with.
fn number(name: &str) -> Option<u64> {
    let end = name
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(name.len());
    name[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sbom::{LayerContent, scan};

    const PRISMA: &str = "app/packages/shared/prisma/migrations";
    const CLICKHOUSE: &str = "app/packages/shared/clickhouse/migrations";

    fn layer(paths: &[&str]) -> LayerContent {
        let mut tar = tar::Builder::new(Vec::new());
        for path in paths {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, &[][..]).unwrap();
        }
        scan(&mut tar.into_inner().unwrap().as_slice()).unwrap()
    }

    fn image() -> ImageContent {
        let base = layer(&[
            &format!("{PRISMA}/20240101_first/migration.sql"),
            &format!("{PRISMA}/20240202_a name/migration.sql"),
            &format!("{PRISMA}/20240303_gone/migration.sql"),
            &format!("{PRISMA}/migration_lock.toml"),
            "app/node_modules/x/prisma/migrations/20990101_no/migration.sql",
        ]);
        let top = layer(&[
            &format!("{PRISMA}/.wh.20240303_gone"),
            &format!("{CLICKHOUSE}/unclustered/0009_i.up.sql"),
            &format!("{CLICKHOUSE}/unclustered/0010_j.up.sql"),
            &format!("{CLICKHOUSE}/unclustered/0010_j.down.sql"),
            &format!("{CLICKHOUSE}/clustered/0011_k.up.sql"),
        ]);
        ImageContent::of([&base, &top])
    }

    fn stack(prisma: (u32, &str), clickhouse: (u32, &str)) -> Stack {
        let mut stack = crate::stack::testing::stack();
        stack.schemas = [
            (SchemaKind::Prisma, prisma),
            (SchemaKind::GolangMigrate, clickhouse),
        ]
        .map(|(kind, (count, last))| Schema {
            kind,
            service: "postgres".to_owned(),
            query: vec!["psql".to_owned()],
            count,
            last: last.to_owned(),
        })
        .into();
        stack
    }

    #[test]
    fn what_is_left_out_is_taken_from_the_image() {
        let mut open = stack((0, ""), (0, ""));
        assert_eq!(settle(&mut open, &image()), Ok(Vec::new()));
        assert_eq!(open, stack((2, "20240202_a name"), (2, "10")));
        // And what it then names is what the image holds.
        assert_eq!(settle(&mut open, &image()), Ok(Vec::new()));
    }

    #[test]
    fn a_mismatch_names_both() {
        for named in [(3, "10"), (2, "9")] {
            let mut wrong = stack((2, "20240202_a name"), named);
            let error = settle(&mut wrong, &image()).unwrap_err().to_string();
            let (count, last) = named;
            assert!(
                error.contains(&format!("{count} up to `{last}`")),
                "{error}"
            );
            assert!(error.contains("2 up to `10`"), "{error}");
        }
    }

    #[test]
    fn an_image_that_shows_none_is_not_compared() {
        let none = ImageContent::default();
        let both = [SchemaKind::Prisma, SchemaKind::GolangMigrate];
        let named = settle(&mut stack((1, "a"), (1, "1")), &none);
        assert_eq!(named, Ok(both.to_vec()));
        let open = settle(&mut stack((1, "a"), (0, "")), &none);
        assert_eq!(
            open,
            Err(MigrationsError::Nowhere(SchemaKind::GolangMigrate))
        );
    }
}
