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
    // Podman's variable, unless Docker's client is told something else.
    let podman = ("CONTAINER_HOST", "unix:///run/p.sock");
    assert_eq!(tried(&EngineTarget::Auto, &[podman]), ["/run/p.sock"]);
    assert_eq!(tried(&EngineTarget::Podman, &[podman]), ["/run/p.sock"]);
    assert_eq!(
        tried(&EngineTarget::Auto, &[podman, host[0]]),
        ["/run/mine.sock"]
    );
    let docker = tried(&EngineTarget::Docker, &[podman]);
    assert_eq!(docker, ["/var/run/docker.sock"]);
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
            &[("CONTAINER_HOST", "ssh://root@other/run/podman/podman.sock")],
            ["CONTAINER_HOST", "ssh://root@other"],
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

/// An engine that answers its ping, and `status` to everything else.
fn answering(path: &Path, status: &'static str) -> tokio::task::JoinHandle<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let is_ping = String::from_utf8_lossy(&request[..read]).contains("_ping");
            let status = if is_ping { "200 OK" } else { status };
            let body = r#"{"message":"database is locked"}"#;
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: ");
            let answer = format!("{head}{}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

#[tokio::test]
async fn an_engine_that_is_not_well_is_not_called_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ill.sock");
    let server = answering(&path, "500 Internal Server Error");
    let error = Docker::connect(&EngineTarget::Socket(path)).await;
    server.abort();
    let error = error.unwrap_err();
    assert!(matches!(error, EngineError::Ill { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("database is locked"), "{text}");
    assert!(text.contains("ill.sock"), "{text}");
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
