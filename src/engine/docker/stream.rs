//! The calls whose answer is a stream: load, save, wait, logs, exec.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters as query;
use futures_util::StreamExt;

use super::Docker;
use super::call::{READ, checked, innermost, refused};
use super::read;
use crate::engine::{EngineError, ExecOutput, LoadBody, SaveBody};

/// How long a load may neither take bytes nor say anything. An engine that
/// unpacks a layer of several GB onto a slow disk is silent for minutes.
const LOAD_IDLE: Duration = Duration::from_secs(30 * 60);
/// How long logs may take.
const LOGS: Duration = Duration::from_secs(120);
/// Bytes of a log that are kept: the newest.
const LOG_OUTPUT: usize = 16 << 20;
/// What a command may print on each stream; more is a mistake, and memory
/// must not grow with it.
const EXEC_OUTPUT: usize = 16 << 20;

/// What the body of a load did, seen from outside the request.
#[derive(Debug)]
struct Sent {
    last: Instant,
    failure: Option<String>,
}

/// The body, and what it did.
fn watched(body: LoadBody) -> (LoadBody, Arc<Mutex<Sent>>) {
    let sent = Arc::new(Mutex::new(Sent {
        last: Instant::now(),
        failure: None,
    }));
    let by_body = Arc::clone(&sent);
    let body = body.map(move |item| {
        let mut sent = by_body.lock().unwrap_or_else(PoisonError::into_inner);
        sent.last = Instant::now();
        // hyper aborts the request on this error, but tells the engine's
        // complaint about the torn archive instead of the reason.
        item.map_err(|error| {
            sent.failure = Some(error.to_string());
            io::Error::new(error.kind(), error.to_string())
        })
    });
    (Box::pin(body), sent)
}

pub(super) async fn load(docker: &Docker, what: &str, body: LoadBody) -> Result<(), EngineError> {
    let (body, sent) = watched(body);
    let lock = |sent: &Mutex<Sent>| {
        let guard = sent.lock().unwrap_or_else(PoisonError::into_inner);
        (guard.last, guard.failure.clone())
    };
    let options = query::ImportImageOptions {
        quiet: false,
        platform: None,
    };
    let mut answer = std::pin::pin!(docker.client.import_image(
        options,
        bollard::body_try_stream(body),
        None
    ));
    let failed = |message: String| EngineError::Load {
        what: what.to_owned(),
        message,
    };
    let mut heard = Instant::now();
    let mut complaint = None;
    loop {
        let (last, _) = lock(&sent);
        let deadline = last.max(heard) + LOAD_IDLE;
        let message = match tokio::time::timeout_at(deadline.into(), answer.next()).await {
            Ok(message) => message,
            Err(_) if lock(&sent).0 > last => continue,
            Err(_) => {
                return Err(EngineError::Timeout {
                    action: format!("go on loading {what}"),
                    limit: LOAD_IDLE,
                });
            }
        };
        heard = Instant::now();
        match message {
            None => break,
            Some(Ok(message)) => complaint = complaint.or_else(|| read::load_error(&message)),
            Some(Err(error)) => {
                // The torn body is the cause, whatever the engine made of it.
                return Err(match lock(&sent).1 {
                    Some(failure) => failed(failure),
                    None => refused_load(docker, error, failed),
                });
            }
        }
    }
    match lock(&sent).1.or(complaint) {
        Some(message) => Err(failed(message)),
        None => Ok(()),
    }
}

fn refused_load(
    docker: &Docker,
    error: Error,
    failed: impl Fn(String) -> EngineError,
) -> EngineError {
    match error {
        Error::DockerStreamError { error } => failed(error),
        Error::DockerResponseServerError { message, .. } => failed(message),
        other => match docker.error("load an image", other) {
            EngineError::Refused { message, .. } => failed(message),
            unreachable => unreachable,
        },
    }
}

/// An engine may pack everything before it sends the first byte, so that the
/// limit is the one of a load.
pub(super) fn save(docker: &Docker, references: &[String]) -> Result<SaveBody, EngineError> {
    const ACTION: &str = "save images";
    let names: Vec<&str> = references
        .iter()
        .map(|reference| checked(ACTION, reference))
        .collect::<Result<_, _>>()?;
    let saved = docker.client.export_images(&names);
    let docker = docker.clone();
    let body = futures_util::stream::unfold(Some(Box::pin(saved)), move |body| {
        let docker = docker.clone();
        async move {
            let mut body = body?;
            match tokio::time::timeout(LOAD_IDLE, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(body))),
                Ok(Some(Err(error))) => Some((Err(docker.error(ACTION, error)), None)),
                Err(_) => {
                    let action = "go on saving images".to_owned();
                    let limit = LOAD_IDLE;
                    Some((Err(EngineError::Timeout { action, limit }), None))
                }
            }
        }
    });
    Ok(body.boxed())
}

/// No time limit: a migration takes hours.
pub(super) async fn wait(docker: &Docker, container: &str) -> Result<i64, EngineError> {
    let action = format!("wait for container `{container}`");
    let name = checked(&action, container)?;
    let mut answer = std::pin::pin!(docker.client.wait_container(name, None));
    match answer.next().await {
        Some(Ok(end)) => Ok(end.status_code),
        // The client takes every exit code but 0 for an error.
        Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
        Some(Err(Error::DockerContainerWaitError { error, .. })) => {
            Err(refused(&action, None, &error))
        }
        Some(Err(error)) => Err(docker.error(&action, error)),
        None => Err(refused(&action, None, "it hung up before the end")),
    }
}

pub(super) async fn logs(
    docker: &Docker,
    container: &str,
    tail: usize,
    since: Option<i64>,
    timestamps: bool,
) -> Result<String, EngineError> {
    let action = format!("show the logs of container `{container}`");
    let name = checked(&action, container)?;
    let options = query::LogsOptions {
        stdout: true,
        stderr: true,
        tail: tail.to_string(),
        timestamps,
        since: since.map_or(0, |seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
        ..query::LogsOptions::default()
    };
    let collect = async {
        let mut answer = std::pin::pin!(docker.client.logs(name, Some(options)));
        // Decoded as a whole: a character may be split between two messages.
        let mut newest = Newest::default();
        while let Some(message) = answer.next().await {
            newest.push(&message?.into_bytes());
        }
        Ok(newest)
    };
    let newest = docker.call(&action, LOGS, collect).await?;
    Ok(newest.into_text())
}

/// The last whole lines of a log, in bounded memory.
#[derive(Debug, Default)]
struct Newest {
    bytes: Vec<u8>,
    /// Older bytes were left out.
    is_cut: bool,
}

impl Newest {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Moved only now and then.
        if self.bytes.len() > 2 * LOG_OUTPUT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if let Some(over) = self
            .bytes
            .len()
            .checked_sub(LOG_OUTPUT)
            .filter(|over| *over > 0)
        {
            self.bytes.drain(..over);
            self.is_cut = true;
        }
    }

    /// Begins with a whole line, so that half a secret is not shown.
    fn into_text(mut self) -> String {
        self.cut();
        if self.is_cut {
            let line = self.bytes.iter().position(|byte| *byte == b'\n');
            self.bytes
                .drain(..line.map_or(self.bytes.len(), |at| at + 1));
        }
        let text = lossy(self.bytes);
        if self.is_cut {
            format!(
                "[older lines left out: more than {} MiB]\n{text}",
                LOG_OUTPUT >> 20
            )
        } else {
            text
        }
    }
}

pub(super) async fn exec(
    docker: &Docker,
    container: &str,
    command: &[String],
    limit: Duration,
) -> Result<ExecOutput, EngineError> {
    let program = command.first().map_or("nothing", String::as_str);
    let action = format!("run `{program}` in container `{container}`");
    docker.own(&action, container).await?;
    let run = async {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let request = docker.client.create_exec(container, options);
        let exec = docker.call(&action, READ, request).await?;
        let request = docker.client.start_exec(&exec.id, None);
        let started = docker.call(&action, READ, request).await?;
        let StartExecResults::Attached { mut output, .. } = started else {
            return Err(refused(&action, None, "it did not attach to the command"));
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(message) = output.next().await {
            match message.map_err(|error| refused(&action, None, &innermost(&error)))? {
                LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    stdout.extend_from_slice(&message);
                }
                LogOutput::StdIn { .. } => {}
            }
            if stdout.len().max(stderr.len()) > EXEC_OUTPUT {
                let message = format!("it printed more than {} MiB", EXEC_OUTPUT >> 20);
                return Err(refused(&action, None, &message));
            }
        }
        Ok(ExecOutput {
            code: exit_code(docker, &action, &exec.id).await?,
            stdout: lossy(stdout),
            stderr: lossy(stderr),
        })
    };
    match tokio::time::timeout(limit, run).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Timeout { action, limit }),
    }
}

/// The engine books the exit code only after it has closed the stream.
pub(super) async fn exit_code(
    docker: &Docker,
    action: &str,
    exec: &str,
) -> Result<i64, EngineError> {
    loop {
        let request = docker.client.inspect_exec(exec);
        let seen = docker.call(action, READ, request).await?;
        match seen.exit_code {
            Some(code) if seen.running != Some(true) => return Ok(code),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_lines_of_a_long_log_are_kept() {
        let mut short = Newest::default();
        short.push(b"one\ntwo\n");
        assert_eq!(short.into_text(), "one\ntwo\n");

        let mut long = Newest::default();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..60_000 {
            long.push(&line);
            assert!(long.bytes.len() <= 2 * LOG_OUTPUT);
        }
        long.push(b"the end\n");
        let text = long.into_text();
        assert!(text.len() < LOG_OUTPUT + 100);
        assert!(text.ends_with("the end\n"));
        let mut lines = text.lines();
        assert!(lines.next().unwrap().contains("older lines left out"));
        assert_eq!(lines.next().unwrap().len(), 999);

        let mut endless = Newest::default();
        let chunk = vec![b'x'; 1 << 20];
        (0..40).for_each(|_| endless.push(&chunk));
        assert!(endless.into_text().len() < 100);
    }
}
