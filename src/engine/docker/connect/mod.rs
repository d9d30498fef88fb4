//! Finding the socket that answers.
//!
//! Only unix sockets are ever opened. What the operator chose for Docker's or
//! Podman's own client is the only one that counts, so that lfctl drives the engine that
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

use super::context::{Chosen, ContextError};
use super::{Docker, context, raw, read};
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
            Err(NotThis::Silent(why)) => attempts.push((path, why)),
            // To drive the next one instead would surprise.
            Err(NotThis::Ill(error)) => return Err(error),
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
        EngineTarget::Auto => socket_of(context::chosen(&variable)),
        EngineTarget::Docker => socket_of(context::of_docker(&variable)),
        EngineTarget::Podman => socket_of(Ok(context::of_podman(&variable))),
        EngineTarget::Socket(_) => Ok(None),
    };
    match (chosen, target) {
        // Who names one on the command line means the one on this host.
        (Ok(None), _) | (Err(_), EngineTarget::Docker | EngineTarget::Podman) => {}
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

/// The socket that was chosen, and what chose it.
fn socket_of(
    chosen: Result<Option<Chosen>, ContextError>,
) -> Result<Option<(PathBuf, String)>, EngineError> {
    let chosen = chosen.map_err(|source| EngineError::Chosen {
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

/// Why a socket is not the one.
enum NotThis {
    /// Nobody answers there.
    Silent(String),
    /// An engine answers, and is not well.
    Ill(EngineError),
}

async fn try_socket(path: &Path) -> Result<Docker, NotThis> {
    // The client's own error hides why a connect failed.
    UnixStream::connect(path)
        .await
        .map_err(|error| NotThis::Silent(error.to_string()))?;
    let silent = |error: bollard::errors::Error| NotThis::Silent(super::call::innermost(&error));
    let client = client(path).map_err(silent)?;
    let greeting = async {
        client.ping().await.map_err(silent)?;
        let mut docker = Docker {
            client,
            socket: path.to_owned(),
            kind: EngineKind::Docker,
        };
        let version = raw::get(&docker, "tell its version", "/version").await;
        let version = version.map_err(|error| ill(path, &error))?;
        docker.kind = read::kind(&version.unwrap_or_default());
        docker.client = docker.client.negotiate_version().await.map_err(silent)?;
        Ok(docker)
    };
    tokio::time::timeout(PING_LIMIT, greeting)
        .await
        .unwrap_or_else(|_| {
            let why = format!("no answer within {} s", PING_LIMIT.as_secs());
            Err(NotThis::Silent(why))
        })
}

fn ill(path: &Path, error: &EngineError) -> NotThis {
    NotThis::Ill(EngineError::Ill {
        socket: path.display().to_string(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
