//! Finding the socket that answers.
//!
//! Only unix sockets are ever opened. What the operator chose for Docker's own
//! client is the only one that counts, so that lfctl drives the engine that
//! the operator sees.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use bollard::{API_DEFAULT_VERSION, BollardRequest};
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tower_service::Service;

use super::Docker;
use super::context;
use super::read;
use crate::engine::{EngineError, EngineKind, EngineTarget, ParseTargetError};

/// Seconds a bollard call may take: so many that only our own limits count.
const UNLIMITED_SECONDS: u64 = 366 * 24 * 3600;
/// A socket may have to wake its engine first.
const PING_LIMIT: Duration = Duration::from_secs(20);

/// What was tried and why it did not work.
#[derive(Debug)]
struct Attempts(Vec<(PathBuf, String)>);

impl std::error::Error for Attempts {}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, why)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {why}", path.display())?;
        }
        Ok(())
    }
}

impl Docker {
    /// Connects to the first socket of `target` that answers.
    ///
    /// Fails with [`EngineError::Unreachable`], which lists what was tried
    /// and why each did not work.
    pub async fn connect(target: &EngineTarget) -> Result<Self, EngineError> {
        connect(target).await
    }

    /// The first socket of `target`, whether or not anybody answers there: what
    /// is asked of it says why not.
    ///
    /// # Errors
    ///
    /// `target` is no engine of this host.
    pub fn unanswered(target: &EngineTarget) -> Result<Self, EngineError> {
        unanswered(target)
    }
}

async fn connect(target: &EngineTarget) -> Result<Docker, EngineError> {
    let Candidates { paths, origin } = candidates(target, |name| std::env::var(name).ok())?;
    let mut attempts = Vec::new();
    for path in paths {
        match try_socket(&path).await {
            Ok(docker) => return Ok(docker),
            Err(why) => attempts.push((path, why)),
        }
    }
    let socket = attempts
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    Err(EngineError::Unreachable {
        socket: match origin {
            Some(origin) => format!("{socket} ({origin})"),
            None => socket,
        },
        source: Box::new(Attempts(attempts)),
    })
}

/// A connection that nobody has answered yet.
fn unanswered(target: &EngineTarget) -> Result<Docker, EngineError> {
    let socket = candidates(target, |name| std::env::var(name).ok())?
        .paths
        .into_iter()
        .next()
        .unwrap_or_default();
    let client = client(&socket).map_err(|source| EngineError::Unreachable {
        socket: socket.display().to_string(),
        source: Box::new(source),
    })?;
    let kind = match target {
        EngineTarget::Podman => EngineKind::Podman,
        _ => EngineKind::Docker,
    };
    Ok(Docker {
        client,
        socket,
        kind,
    })
}

/// The sockets to try.
#[derive(Debug)]
struct Candidates {
    /// In order, each once.
    paths: Vec<PathBuf>,
    /// What chose the only one.
    origin: Option<String>,
}

fn candidates(
    target: &EngineTarget,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Candidates, EngineError> {
    let chosen = match target {
        EngineTarget::Auto | EngineTarget::Docker => chosen(&variable),
        _ => Ok(None),
    };
    match (chosen, target) {
        // Who names Docker on the command line means the one on this host.
        (Ok(None), _) | (Err(_), EngineTarget::Docker) => {}
        (Ok(Some((path, origin))), _) => {
            return Ok(Candidates {
                paths: vec![path],
                origin: Some(origin),
            });
        }
        // Installing here instead of where the operator's own client looks
        // would surprise.
        (Err(error), _) => return Err(error),
    }
    Ok(Candidates {
        paths: usual(target, &variable),
        origin: None,
    })
}

/// The socket that Docker's client drives, and what chose it.
fn chosen(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(PathBuf, String)>, EngineError> {
    let chosen = context::chosen(variable).map_err(|source| EngineError::Chosen {
        origin: source.origin().to_owned(),
        source: Box::new(source),
    })?;
    let Some(chosen) = chosen else {
        return Ok(None);
    };
    let socket = match chosen.host.parse() {
        Ok(EngineTarget::Socket(path)) => Ok(path),
        Ok(_) => Err(ParseTargetError::Unknown {
            text: chosen.host.clone(),
        }),
        Err(source) => Err(source),
    };
    match socket {
        Ok(path) => Ok(Some((path, chosen.origin))),
        Err(source) => Err(EngineError::Chosen {
            origin: chosen.origin,
            source: Box::new(source),
        }),
    }
}

/// Where engines listen, in the order in which their own clients look.
fn usual(target: &EngineTarget, variable: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let runtime_dir = variable("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let docker = || {
        let rootless = runtime_dir.as_ref().map(|dir| dir.join("docker.sock"));
        [Some(PathBuf::from("/var/run/docker.sock")), rootless]
    };
    let podman = || {
        let rootless = runtime_dir
            .as_ref()
            .map(|dir| dir.join("podman/podman.sock"));
        [Some(PathBuf::from("/run/podman/podman.sock")), rootless]
    };
    match target {
        EngineTarget::Socket(path) => paths.push(path.clone()),
        EngineTarget::Podman => paths.extend(podman().into_iter().flatten()),
        EngineTarget::Docker => paths.extend(docker().into_iter().flatten()),
        EngineTarget::Auto => paths.extend(docker().into_iter().chain(podman()).flatten()),
    }
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    paths
}

/// Opens an engine's socket for a request.
///
/// bollard's own way into a socket takes one piece of memory at a time, so
/// that all of a load would be copied together first.
#[derive(Clone)]
struct Socket(Arc<Path>);

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = Arc::clone(&self.0);
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    }
}

/// A client that opens the socket anew for each request.
fn client(path: &Path) -> Result<bollard::Docker, bollard::errors::Error> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(0);
    let client = builder.build(Socket(path.into()));
    bollard::Docker::connect_with_custom_transport(
        move |request: BollardRequest| {
            let answer = client.request(request);
            async move { Ok(answer.await?) }
        },
        Some("http://localhost"),
        UNLIMITED_SECONDS,
        API_DEFAULT_VERSION,
    )
}

async fn try_socket(path: &Path) -> Result<Docker, String> {
    // The client's own error hides why a connect failed.
    UnixStream::connect(path)
        .await
        .map_err(|error| error.to_string())?;
    let client = client(path).map_err(|error| error.to_string())?;
    let greeting = async {
        client.ping().await?;
        let client = client.negotiate_version().await?;
        let version = client.version().await?;
        Ok::<_, bollard::errors::Error>((client, version))
    };
    let (client, version) = tokio::time::timeout(PING_LIMIT, greeting)
        .await
        .map_err(|_| format!("no answer within {} s", PING_LIMIT.as_secs()))?
        .map_err(|error| super::call::innermost(&error))?;
    Ok(Docker {
        client,
        socket: path.to_owned(),
        kind: read::kind(&version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::context::tests::docker_dir;

    fn tried(target: &EngineTarget, variables: &[(&str, &str)]) -> Vec<String> {
        candidates(target, |name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .unwrap()
        .paths
        .into_iter()
        .map(|path| path.display().to_string())
        .collect()
    }

    #[test]
    fn tries_every_local_socket_in_order() {
        let variables = [("XDG_RUNTIME_DIR", "/run/user/7")];
        let docker = ["/var/run/docker.sock", "/run/user/7/docker.sock"];
        let podman = ["/run/podman/podman.sock", "/run/user/7/podman/podman.sock"];
        assert_eq!(
            tried(&EngineTarget::Auto, &variables),
            [docker, podman].concat()
        );
        assert_eq!(tried(&EngineTarget::Docker, &variables), docker);
        assert_eq!(tried(&EngineTarget::Podman, &variables), podman);
        let socket = EngineTarget::Socket(PathBuf::from("/x"));
        assert_eq!(tried(&socket, &variables), ["/x"]);
    }

    #[test]
    fn the_engine_of_dockers_own_client_is_the_only_one() {
        let dir = docker_dir(
            "mine",
            r#"{"Endpoints":{"docker":{"Host":"unix:///run/c.sock"}}}"#,
        );
        let dir = dir.path().to_str().unwrap();
        let host = [("DOCKER_HOST", "unix:///run/mine.sock")];
        let context = [("DOCKER_CONFIG", dir), ("DOCKER_CONTEXT", "mine")];
        for target in [EngineTarget::Auto, EngineTarget::Docker] {
            assert_eq!(tried(&target, &host), ["/run/mine.sock"]);
            assert_eq!(tried(&target, &context), ["/run/c.sock"]);
        }
        assert_eq!(
            tried(&EngineTarget::Podman, &context),
            ["/run/podman/podman.sock"]
        );
    }

    #[test]
    fn an_engine_elsewhere_is_refused_not_replaced() {
        let away = docker_dir(
            "away",
            r#"{"Endpoints":{"docker":{"Host":"ssh://admin@other"}}}"#,
        );
        let away = away.path().to_str().unwrap();
        for (variables, words) in [
            (
                &[("DOCKER_HOST", "tcp://10.0.0.1:2375")][..],
                ["DOCKER_HOST", "tcp://10.0.0.1:2375"],
            ),
            (
                &[("DOCKER_HOST", "/run/x.sock")],
                ["DOCKER_HOST", "/run/x.sock"],
            ),
            (
                &[("DOCKER_CONFIG", away), ("DOCKER_CONTEXT", "away")],
                ["context `away`", "ssh://admin@other"],
            ),
            (
                &[("DOCKER_CONFIG", away), ("DOCKER_CONTEXT", "gone")],
                ["context `gone`", "no such context"],
            ),
        ] {
            let found = |name: &str| {
                let mut all = variables.iter();
                all.find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            let error = candidates(&EngineTarget::Auto, found).unwrap_err();
            let text = crate::sys::text::chain(&error);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            // Who names an engine on the command line overrules it.
            let local = tried(&EngineTarget::Docker, variables);
            assert_eq!(local, ["/var/run/docker.sock"]);
        }
    }

    #[tokio::test]
    async fn names_every_socket_it_tried_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.sock");
        let error = Docker::connect(&EngineTarget::Socket(path.clone()))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()));
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("No such file"), "{source}");
    }
}
