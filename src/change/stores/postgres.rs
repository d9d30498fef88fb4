//! Postgres: one dump in the custom format, and the rows of each table as the
//! same transaction sees them.

use std::collections::BTreeMap;
use std::io::BufRead;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::failed;
use crate::change::error::ChangeError;
use crate::engine::{ContainerEngine, SaveBody};

/// Line between the counts and the dump.
const DUMP: &str = "lfctl:dump";

/// A Postgres in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::change) struct Postgres<'a> {
    pub(in crate::change) container: &'a str,
    pub(in crate::change) client: &'a [String],
    pub(in crate::change) dump: &'a [String],
}

/// Counts every table in `transaction`.
fn counting(transaction: &str) -> String {
    format!(
        "{transaction}\n\
         SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || tablename, schemaname, tablename) \
         FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 \\gexec\n"
    )
}

impl Postgres<'_> {
    fn client(self) -> Vec<String> {
        let options = [
            "-q",
            "-A",
            "-t",
            "-F",
            "\t",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            "-",
        ];
        super::command(self.client, &options)
    }

    /// The counts, then the dump of exactly what was counted.
    pub(in crate::change) async fn read<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<SaveBody, ChangeError> {
        let dump: Vec<String> = self.dump.iter().map(|word| quoted(word)).collect();
        let transaction = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n\
             SELECT pg_export_snapshot() AS snapshot \\gset\n\
             \\setenv LFCTL_SNAPSHOT :snapshot";
        // The shell is psql's child: a dump that fails must not look like an end.
        let script = format!(
            "{}\\! echo {DUMP}; {} --snapshot=\"$LFCTL_SNAPSHOT\" < /dev/null || kill -9 $PPID\n",
            counting(transaction),
            dump.join(" ")
        );
        let input = stream::iter([Ok(Bytes::from(script))]).boxed();
        Ok(engine
            .run(self.container, &self.client(), Some(input))
            .await?)
    }

    /// Rows of each table.
    pub(in crate::change) async fn rows<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<BTreeMap<String, u64>, ChangeError> {
        let script = counting("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;");
        let input = stream::iter([Ok(Bytes::from(script))]).boxed();
        let mut output = engine
            .run(self.container, &self.client(), Some(input))
            .await?;
        let mut text = Vec::new();
        while let Some(piece) = output.next().await {
            text.extend_from_slice(&piece?);
        }
        let text = String::from_utf8_lossy(&text);
        let rows: Option<_> = text.lines().map(parse).collect();
        rows.ok_or_else(|| failed("postgres", "it did not count its rows"))
    }
}

fn parse(line: &str) -> Option<(String, u64)> {
    let (table, rows) = line.rsplit_once('\t')?;
    Some((table.to_owned(), rows.parse().ok()?))
}

/// The counts in front of a dump; what follows in `source` is the dump.
pub(in crate::change) fn counts(
    source: &mut impl BufRead,
) -> std::io::Result<BTreeMap<String, u64>> {
    let bad = |line: &str| std::io::Error::other(format!("no count of rows: `{}`", line.trim()));
    let mut rows = BTreeMap::new();
    loop {
        let mut line = Vec::new();
        source.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line);
        if line.trim_end() == DUMP {
            return Ok(rows);
        }
        let (table, count) = parse(line.trim_end()).ok_or_else(|| bad(&line))?;
        rows.insert(table, count);
    }
}

/// A word of a shell script that means itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn counts_stand_before_the_dump() {
        let mut source = &b"public.users\t2000\npublic.a b\t0\nlfctl:dump\nPGDMP\x01\n"[..];
        let rows = counts(&mut source).unwrap();
        assert_eq!(rows["public.users"], 2000);
        assert_eq!(rows["public.a b"], 0);
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"PGDMP\x01\n");
    }

    #[test]
    fn an_answer_without_the_line_is_no_dump() {
        assert!(counts(&mut &b"public.users\t2000\n"[..]).is_err());
        assert!(counts(&mut &b"psql: error\n"[..]).is_err());
    }
}
