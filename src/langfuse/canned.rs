//! A small real HTTP server for tests: answers with what it was told, by
//! path, after as long as it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::http::Request;

/// One rule: requests whose head contains `needle` get `answers` in turn, the
/// last one again and again.
#[derive(Debug, Clone)]
struct Rule {
    needle: String,
    answers: Vec<String>,
    delay: Duration,
}

/// What a server will answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canned {
    rules: Vec<Rule>,
}

/// A running server; it ends when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Canned {
    /// Answers everything with this.
    pub(crate) fn answer(status: u16, body: &str) -> Self {
        Self::default().when("", &[(status, body)])
    }

    /// Sends these bytes whatever was asked.
    pub(crate) fn raw(text: &str) -> Self {
        Self {
            rules: vec![Rule {
                needle: String::new(),
                answers: vec![text.to_owned()],
                delay: Duration::ZERO,
            }],
        }
    }

    /// Answers requests whose head contains `needle`; earlier rules win.
    pub(crate) fn when(mut self, needle: &str, answers: &[(u16, &str)]) -> Self {
        self.rules.push(Rule {
            needle: needle.to_owned(),
            answers: answers
                .iter()
                .map(|(status, body)| {
                    format!(
                        "HTTP/1.1 {status} Canned\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    )
                })
                .collect(),
            delay: Duration::ZERO,
        });
        self
    }

    /// Delays the last rule.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.delay = delay;
        }
        self
    }

    /// Starts to listen on a free port of loopback.
    pub(crate) async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let rules = Arc::new(Mutex::new(self.rules));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&rules), Arc::clone(&seen)));
                }
            }
        });
        Running {
            address,
            seen,
            task,
        }
    }
}

impl Running {
    /// All requests so far.
    pub(crate) fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, rules: Arc<Mutex<Vec<Rule>>>, seen: Arc<Mutex<String>>) {
    let request = read(&mut stream).await;
    seen.lock().unwrap().push_str(&request);
    let found = {
        let mut rules = rules.lock().unwrap();
        rules
            .iter_mut()
            .find(|rule| request.contains(&rule.needle))
            .map(|rule| {
                let answer = if rule.answers.len() > 1 {
                    rule.answers.remove(0)
                } else {
                    rule.answers[0].clone()
                };
                (answer, rule.delay)
            })
    };
    if let Some((answer, delay)) = found {
        tokio::time::sleep(delay).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            return text;
        };
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
    }
}

/// A GET with a generous limit.
pub(crate) fn get(address: SocketAddr, path: &str) -> Request<'_> {
    Request {
        address,
        host: "lan.example:8080",
        path,
        basic: None,
        headers: &[],
        json: None,
        limit: Duration::from_secs(5),
    }
}
