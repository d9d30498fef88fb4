//! Which engine the operator's own client drives: that of `DOCKER_HOST`, else
//! of the context that `DOCKER_CONTEXT` or `docker context use` chose, else of
//! Podman's `CONTAINER_HOST`.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::sys::json::field;
use crate::sys::text::one_line;

/// The context that means: as if there were none.
const DEFAULT: &str = "default";

/// An engine that the operator chose for Docker's client or Podman's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// By what.
    pub(super) origin: String,
    /// Its address, such as `unix:///run/user/1000/docker.sock`.
    pub(super) host: String,
}

/// A choice that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct ContextError {
    origin: String,
    problem: String,
}

impl ContextError {
    /// What chose it.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

/// What was chosen; `None` for the engine in its usual place.
///
/// # Errors
///
/// A context is chosen that cannot be read.
pub(super) fn chosen(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Chosen>, ContextError> {
    of_docker(variable).map(|chosen| chosen.or_else(|| of_podman(variable)))
}

/// What was chosen for Docker's client.
pub(super) fn of_docker(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Chosen>, ContextError> {
    match named("DOCKER_HOST", variable) {
        Some(host) => Ok(Some(host)),
        None => of_context(variable),
    }
}

/// What was chosen for Podman's client.
pub(super) fn of_podman(variable: &impl Fn(&str) -> Option<String>) -> Option<Chosen> {
    named("CONTAINER_HOST", variable)
}

fn named(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<Chosen> {
    let host = variable(name).filter(|text| !text.is_empty())?;
    let origin = name.to_owned();
    Some(Chosen { origin, host })
}

fn of_context(variable: &impl Fn(&str) -> Option<String>) -> Result<Option<Chosen>, ContextError> {
    let set = |name: &str| variable(name).filter(|text| !text.is_empty());
    let home = || Some(Path::new(&set("HOME")?).join(".docker"));
    let Some(dir) = set("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else {
        return Ok(None);
    };
    let (name, by) = match set("DOCKER_CONTEXT") {
        Some(name) => (name, "DOCKER_CONTEXT".to_owned()),
        // A file that cannot be read chooses nothing, as for Docker's client.
        None => match current(&dir.join("config.json")) {
            Some(name) => (name, dir.join("config.json").display().to_string()),
            None => return Ok(None),
        },
    };
    if name == DEFAULT {
        return Ok(None);
    }
    let origin = format!("Docker context `{}` of `{by}`", one_line(&name));
    let wrong = |problem: String| ContextError {
        origin: origin.clone(),
        problem,
    };
    // Docker names the directory of a context by the hash of its name.
    let hash = hex::encode(Sha256::digest(name.as_bytes()));
    let file = dir.join("contexts/meta").join(hash).join("meta.json");
    let text = fs::read(&file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => wrong("there is no such context".to_owned()),
        _ => wrong(error.to_string()),
    })?;
    let meta: Value = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("`{}` is not JSON: {error}", file.display())))?;
    let host = ["Endpoints", "docker", "Host"]
        .iter()
        .try_fold(&meta, |value, key| field(value.as_object()?, key));
    let host = host.and_then(Value::as_str).filter(|host| !host.is_empty());
    // A context without an address is for the engine in its usual place.
    Ok(host.map(|host| Chosen {
        origin: origin.clone(),
        host: host.to_owned(),
    }))
}

/// The context that `docker context use` chose.
fn current(config: &Path) -> Option<String> {
    let config: Value = serde_json::from_slice(&fs::read(config).ok()?).ok()?;
    let name = field(config.as_object()?, "currentContext")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A Docker directory with one context.
    pub(in crate::engine::docker) fn docker_dir(name: &str, meta: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let hash = hex::encode(Sha256::digest(name.as_bytes()));
        let meta_dir = dir.path().join("contexts/meta").join(hash);
        fs::create_dir_all(&meta_dir).unwrap();
        fs::write(meta_dir.join("meta.json"), meta).unwrap();
        dir
    }

    fn of(dir: &Path, variables: &[(&str, &str)]) -> Result<Option<Chosen>, ContextError> {
        let dir = dir.display().to_string();
        chosen(&|name| {
            let mut all = variables.iter();
            let found = all.find(|(key, _)| *key == name);
            let value = found.map(|(_, value)| (*value).to_owned());
            value.or_else(|| (name == "DOCKER_CONFIG").then(|| dir.clone()))
        })
    }

    fn host(dir: &Path, variables: &[(&str, &str)]) -> Option<String> {
        of(dir, variables).unwrap().map(|chosen| chosen.host)
    }

    const MINE: &str =
        r#"{"Name":"mine","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/mine.sock"}}}"#;

    #[test]
    fn the_order_is_that_of_dockers_client() {
        let dir = docker_dir("mine", MINE);
        let path = dir.path();
        assert_eq!(host(path, &[]), None);
        let config = |text: &str| fs::write(path.join("config.json"), text).unwrap();
        for nothing in [
            "{}",
            "{",
            "7",
            r#"{"currentContext":null}"#,
            r#"{"currentContext":""}"#,
        ] {
            config(nothing);
            assert_eq!(host(path, &[]), None, "{nothing}");
        }
        config(r#"{"auths":{},"CurrentContext":"mine"}"#);
        let mine = Some("unix:///run/mine.sock".to_owned());
        assert_eq!(host(path, &[]), mine);
        let found = of(path, &[]).unwrap().unwrap();
        assert!(
            found.origin.starts_with("Docker context `mine`"),
            "{found:?}"
        );
        assert_eq!(host(path, &[("DOCKER_CONTEXT", "default")]), None);
        config(r#"{"currentContext":"default"}"#);
        assert_eq!(host(path, &[]), None);
        assert_eq!(host(path, &[("DOCKER_CONTEXT", "mine")]), mine);
        let both = [("DOCKER_CONTEXT", "mine"), ("DOCKER_HOST", "unix:///a")];
        assert_eq!(host(path, &both), Some("unix:///a".to_owned()));
    }

    #[test]
    fn a_context_that_is_not_there_is_not_passed_over() {
        let dir = docker_dir("broken", "{");
        for (name, words) in [("gone", "no such context"), ("broken", "not JSON")] {
            let error = of(dir.path(), &[("DOCKER_CONTEXT", name)]).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        for bare in [
            r#"{"Endpoints":{}}"#,
            r#"{"Endpoints":{"docker":{"Host":""}}}"#,
            "{}",
        ] {
            let dir = docker_dir("bare", bare);
            assert_eq!(
                host(dir.path(), &[("DOCKER_CONTEXT", "bare")]),
                None,
                "{bare}"
            );
        }
    }
}
