//! Redis: a finished save of its memory, kept under a name of its own until it
//! is copied.
//!
//! A restore lays it down as the base of an append-only file, which is what a
//! server with `appendonly yes` reads when it starts.

use std::time::{Duration, Instant};

use super::{ask, command, failed, shell};
use crate::change::error::ChangeError;
use crate::engine::{ContainerEngine, SaveBody};

/// Time for a save.
const SAVE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);
/// Name of the copy beside the server's own file.
const COPY: &str = "lfctl-backup.rdb";

/// A Redis in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::change) struct Redis<'a> {
    pub(in crate::change) container: &'a str,
    pub(in crate::change) client: &'a [String],
    pub(in crate::change) directory: &'a str,
}

/// What `INFO` says of saves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Saves {
    running: bool,
    is_good: bool,
    /// Changes with every finished save.
    count: String,
}

impl Saves {
    fn parse(info: &str) -> Self {
        let field = |name: &str| {
            info.lines()
                .filter_map(|line| line.trim_end().split_once(':'))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        Self {
            running: field("rdb_bgsave_in_progress") != Some("0"),
            is_good: field("rdb_last_bgsave_status") == Some("ok"),
            count: field("rdb_saves").unwrap_or_default().to_owned(),
        }
    }
}

impl Redis<'_> {
    /// Lets the server save its memory, and keeps that file.
    pub(in crate::change) async fn save<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<(), ChangeError> {
        let before = self.saves(engine).await?;
        if before.count.is_empty() {
            return Err(failed(
                "redis",
                "it does not count its saves: 7.0 or newer is needed",
            ));
        }
        let schedule = command(self.client, &["BGSAVE", "SCHEDULE"]);
        ask(engine, self.container, &schedule).await?;
        let begun = Instant::now();
        loop {
            let now = self.saves(engine).await?;
            if !now.running && now.count != before.count {
                break;
            }
            if !now.running && !now.is_good {
                return Err(failed(
                    "redis",
                    "its background save failed; its log says why",
                ));
            }
            if begun.elapsed() > SAVE {
                let why = format!("its save did not end within {} s", SAVE.as_secs());
                return Err(failed("redis", why));
            }
            tokio::time::sleep(POLL).await;
        }
        let dir = self.directory;
        let keep = shell(&format!("ln -f {dir}/dump.rdb {dir}/{COPY}"));
        ask(engine, self.container, &keep).await.map(drop)
    }

    async fn saves<E: ContainerEngine>(self, engine: &E) -> Result<Saves, ChangeError> {
        let info = command(self.client, &["INFO", "persistence"]);
        Ok(Saves::parse(&ask(engine, self.container, &info).await?))
    }

    /// The bytes of the file that [`Redis::save`] kept.
    pub(in crate::change) async fn read<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<SaveBody, ChangeError> {
        let path = format!("{}/{COPY}", self.directory);
        let cat = ["cat".to_owned(), path];
        Ok(engine.run(self.container, &cat, None).await?)
    }

    /// Removes that file. Gone already is no error.
    pub(in crate::change) async fn forget<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<(), ChangeError> {
        let remove = shell(&format!("rm -f {}/{COPY}", self.directory));
        ask(engine, self.container, &remove).await.map(drop)
    }

    /// Keys that it holds.
    pub(in crate::change) async fn keys<E: ContainerEngine>(
        self,
        engine: &E,
    ) -> Result<u64, ChangeError> {
        let size = ask(engine, self.container, &command(self.client, &["DBSIZE"])).await?;
        let size = size.trim();
        size.parse()
            .map_err(|_| failed("redis", format!("it has `{size}` keys")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_counts_once_it_is_finished() {
        let info = "# Persistence\r\nrdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\nrdb_saves:4\r\n";
        let saves = Saves::parse(info);
        assert!(!saves.running && saves.is_good);
        assert_eq!(saves.count, "4");
        assert!(Saves::parse("rdb_bgsave_in_progress:1\r\n").running);
        // An answer that does not say so is no finished save.
        assert!(Saves::parse("").running);
    }
}
