//! Getting at the data of each store while its server runs.

pub(super) mod blobs;
pub(super) mod clickhouse;
pub(super) mod http;
pub(super) mod postgres;
pub(super) mod redis;

use std::path::PathBuf;
use std::time::Duration;

use super::error::ChangeError;
use crate::engine::{ContainerEngine, SaveBody};
use crate::langfuse::query;
use crate::sys::stream::StreamReader;

/// Time for a server to answer a question.
const ANSWER: Duration = Duration::from_secs(120);

/// Something failed in a store.
pub(super) fn failed(store: &str, why: impl std::fmt::Display) -> ChangeError {
    ChangeError::Store {
        store: store.to_owned(),
        why: why.to_string(),
    }
}

/// A command and its arguments.
pub(super) fn command(program: &[String], arguments: &[&str]) -> Vec<String> {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    program.iter().cloned().chain(arguments).collect()
}

/// A script for the shell of a container.
pub(super) fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// Runs a command in a container and returns what it prints.
pub(super) async fn ask<E: ContainerEngine>(
    engine: &E,
    container: &str,
    command: &[String],
) -> Result<String, ChangeError> {
    query::exec(engine, container, command, ANSWER)
        .await
        .map_err(|error| failed(container, error))
}

/// Reads a stream of the engine on a thread that may wait.
pub(super) fn reader(stream: SaveBody) -> StreamReader<SaveBody> {
    StreamReader::new(stream, tokio::runtime::Handle::current())
}

/// A name as one name of a path in a snapshot, whatever is in it.
pub(super) fn file_name(name: &str) -> String {
    match name {
        "" => "%".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        name => name
            .replace('%', "%25")
            .replace('/', "%2F")
            .replace('\0', "%00"),
    }
}

/// A key of an object as a path in a snapshot.
pub(super) fn path_of_key(key: &str) -> PathBuf {
    key.split('/').map(file_name).collect()
}

/// The key behind [`path_of_key`].
pub(super) fn key_of_path(path: &std::path::Path) -> Option<String> {
    let names: Option<Vec<String>> = path
        .iter()
        .map(|name| {
            Some(match name.to_str()? {
                "%" => String::new(),
                name => name
                    .replace("%00", "\0")
                    .replace("%2F", "/")
                    .replace("%2E", ".")
                    .replace("%25", "%"),
            })
        })
        .collect();
    Some(names?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_is_a_path_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for key in [
            "otel/p/2026/11/27/a.json",
            "a//b",
            "/a",
            "a/",
            "..",
            "../../etc/passwd",
            "./a",
            "50%2F/100%",
            "%",
            "%2E",
        ] {
            let path = path_of_key(key);
            assert!(
                path.components()
                    .all(|part| matches!(part, std::path::Component::Normal(_))),
                "{path:?}"
            );
            assert_eq!(key_of_path(&path).as_deref(), Some(key));
            assert!(seen.insert(path), "{key} is another key as well");
        }
    }
}
