//! Data in and out of containers: a command's input and output, and archives
//! of their files.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::Docker;
use super::call::{READ, checked, innermost, refused};
use crate::engine::{EngineError, LoadBody, SaveBody};
use crate::sys::text::one_line;

/// How long a transfer may neither send nor receive anything: a dump waits for
/// a lock, an engine for a slow disk.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// What is kept of a command's complaints.
const STDERR: usize = 64 * 1024;

/// A command that runs, and what is needed to tell how it ended.
struct Running {
    docker: Docker,
    action: String,
    exec: String,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    feeding: Option<Feeding>,
    /// How feeding ended, once it has.
    fed: Result<(), String>,
    stderr: Vec<u8>,
}

/// Why a command did not get all of its input.
enum FeedError {
    /// The input itself broke off.
    Source(io::Error),
    /// The command does not take any more.
    Pipe(io::Error),
}

impl FeedError {
    fn text(&self) -> String {
        let (Self::Source(error) | Self::Pipe(error)) = self;
        innermost(error)
    }
}

/// The task that feeds a command. Ends with its value.
struct Feeding(JoinHandle<Result<(), FeedError>>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn run(
    docker: &Docker,
    container: &str,
    command: &[String],
    input: Option<LoadBody>,
) -> Result<SaveBody, EngineError> {
    let program = command.first().map_or("nothing", String::as_str);
    let action = format!("run `{program}` in container `{container}`");
    docker.own(&action, container).await?;
    let options = CreateExecOptions {
        attach_stdin: Some(input.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..CreateExecOptions::default()
    };
    let request = docker.client.create_exec(container, options);
    let exec = docker.call(&action, READ, request).await?.id;
    let request = docker.client.start_exec(&exec, None);
    let started = docker.call(&action, READ, request).await?;
    let StartExecResults::Attached {
        output,
        input: stdin,
    } = started
    else {
        return Err(refused(&action, None, "it did not attach to the command"));
    };
    let feeding = input.map(|body| Feeding(tokio::spawn(feed(stdin, body))));
    let running = Running {
        docker: docker.clone(),
        action,
        exec,
        output,
        feeding,
        fed: Ok(()),
        stderr: Vec::new(),
    };
    Ok(futures_util::stream::unfold(Some(running), next).boxed())
}

async fn feed(
    mut stdin: Pin<Box<dyn AsyncWrite + Send>>,
    mut body: LoadBody,
) -> Result<(), FeedError> {
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(FeedError::Source)?;
        stdin.write_all(&piece).await.map_err(FeedError::Pipe)?;
    }
    stdin.shutdown().await.map_err(FeedError::Pipe)
}

async fn next(running: Option<Running>) -> Option<(Result<Bytes, EngineError>, Option<Running>)> {
    let mut running = running?;
    loop {
        let piece = tokio::select! {
            biased;
            // The command would wait for the rest without end.
            error = source_broke(&mut running.feeding, &mut running.fed, &running.action) => {
                return Some((Err(error), None));
            }
            piece = tokio::time::timeout(IDLE, running.output.next()) => piece,
        };
        match piece {
            Ok(Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message }))) => {
                return Some((Ok(message), Some(running)));
            }
            Ok(Some(Ok(LogOutput::StdErr { message }))) => {
                let room = STDERR.saturating_sub(running.stderr.len());
                running.stderr.extend(message.iter().take(room));
            }
            Ok(Some(Ok(LogOutput::StdIn { .. }))) => {}
            Ok(Some(Err(error))) => {
                let error = refused(&running.action, None, &innermost(&error));
                return Some((Err(error), None));
            }
            Ok(None) => return running.end().await.err().map(|error| (Err(error), None)),
            Err(_) => return Some((Err(idle(&running.action)), None)),
        }
    }
}

/// Waits until the input of a command breaks off; without end where it does not.
/// How feeding ended otherwise is put into `fed`.
async fn source_broke(
    feeding: &mut Option<Feeding>,
    fed: &mut Result<(), String>,
    action: &str,
) -> EngineError {
    if let Some(task) = feeding {
        let ended = (&mut task.0).await;
        *feeding = None;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error @ FeedError::Source(_))) => {
                return refused(action, None, &error.text());
            }
            Ok(Err(error)) => *fed = Err(error.text()),
            Err(error) => *fed = Err(error.to_string()),
        }
    }
    std::future::pending().await
}

impl Running {
    /// Whether the command did all of it: the end of its output says nothing.
    async fn end(mut self) -> Result<(), EngineError> {
        let code = super::stream::exit_code(&self.docker, &self.action, &self.exec).await?;
        if code != 0 {
            let said = one_line(&String::from_utf8_lossy(&self.stderr));
            let message = format!("it ended with code {code}: {said}");
            return Err(refused(&self.action, None, &message));
        }
        if let Some(feeding) = &mut self.feeding {
            self.fed = match (&mut feeding.0).await {
                Ok(fed) => fed.map_err(|error| error.text()),
                Err(error) => Err(error.to_string()),
            };
        }
        let action = &self.action;
        self.fed.clone().map_err(|why| refused(action, None, &why))
    }
}

fn idle(action: &str) -> EngineError {
    EngineError::Timeout {
        action: format!("go on: {action}"),
        limit: IDLE,
    }
}

pub(super) async fn download(
    docker: &Docker,
    container: &str,
    path: &str,
) -> Result<SaveBody, EngineError> {
    let action = format!("read `{path}` of container `{container}`");
    docker.own(&action, container).await?;
    let name = checked(&action, container)?;
    let options = query::DownloadFromContainerOptions {
        path: path.to_owned(),
    };
    let mut body = Box::pin(docker.client.download_from_container(name, Some(options)));
    // That there is no such file comes with the first piece.
    let request = async { body.next().await.transpose() };
    let first = docker.call(&action, IDLE, request).await?;
    let first = futures_util::stream::iter(first.map(Ok));
    let state = (docker.clone(), action, body);
    let rest = futures_util::stream::unfold(Some(state), |state| async {
        let (docker, action, mut body) = state?;
        match tokio::time::timeout(IDLE, body.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some((docker, action, body)))),
            Ok(Some(Err(error))) => Some((Err(docker.error(&action, error)), None)),
            Err(_) => Some((Err(idle(&action)), None)),
        }
    });
    Ok(first.chain(rest).boxed())
}

pub(super) async fn unpack(
    docker: &Docker,
    container: &str,
    path: &str,
    tar: LoadBody,
) -> Result<(), EngineError> {
    let action = format!("put files into `{path}` of container `{container}`");
    docker.own(&action, container).await?;
    let sent = Arc::new(Mutex::new((Instant::now(), None::<String>)));
    let look = |sent: &Mutex<(Instant, Option<String>)>| {
        let guard = sent.lock().unwrap_or_else(PoisonError::into_inner);
        guard.clone()
    };
    let watched = Arc::clone(&sent);
    let body = tar.map(move |piece| {
        let mut sent = watched.lock().unwrap_or_else(PoisonError::into_inner);
        sent.0 = Instant::now();
        // hyper aborts the request on this error, and the engine complains
        // about the torn archive only.
        piece.inspect_err(|error| sent.1 = Some(innermost(error)))
    });
    let options = query::UploadToContainerOptions {
        path: path.to_owned(),
        no_overwrite_dir_non_dir: Some("true".to_owned()),
        copy_uidgid: None,
    };
    let body = bollard::body_try_stream(body);
    let request = docker
        .client
        .upload_to_container(container, Some(options), body);
    let mut request = std::pin::pin!(request);
    loop {
        let last = look(&sent).0;
        match tokio::time::timeout_at((last + IDLE).into(), &mut request).await {
            Ok(Ok(())) => {
                return look(&sent)
                    .1
                    .map_or(Ok(()), |why| Err(refused(&action, None, &why)));
            }
            Ok(Err(error)) => {
                return Err(match look(&sent).1 {
                    Some(why) => refused(&action, None, &why),
                    None => docker.error(&action, error),
                });
            }
            Err(_) if look(&sent).0 > last => {}
            Err(_) => return Err(idle(&action)),
        }
    }
}
