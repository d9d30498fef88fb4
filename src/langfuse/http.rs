//! The only HTTP client towards the stack.
//!
//! Speaks HTTP/1.1 without TLS over one fresh connection per request: the
//! servers behind it close idle connections early, and a reused one that
//! closes in that moment is a lost request. Names are never looked up. A
//! [`Client`] reaches loopback, addresses of containers that the engine
//! reported, and an address of this host, nothing else, so a wrong one in a
//! state file cannot make lfctl call out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;

use crate::sys::host::is_local;
use crate::sys::http1::{ExchangeError, exchange};

/// Largest body in bytes that is read unless a request says otherwise.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is neither this host's nor one of the stack's.
    #[error("{address} is neither an address of this host nor one of the stack")]
    NotOurs { address: SocketAddr },
    /// Nobody listens, or the way there is closed.
    #[error("no connection to {address}")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("{address} gave no valid HTTP answer")]
    Exchange {
        address: SocketAddr,
        #[source]
        source: hyper::Error,
    },
    /// No whole answer in time.
    #[error("{address} gave no answer within {} ms", limit.as_millis())]
    Timeout {
        address: SocketAddr,
        /// How long it was given.
        limit: Duration,
    },
    /// The body is larger than anything the stack has reason to send.
    #[error("{address} answered with more than {limit} bytes")]
    TooLarge {
        address: SocketAddr,
        /// Bytes that were allowed.
        limit: usize,
    },
    /// The request itself cannot be written down.
    #[error("cannot ask {address} for this")]
    Request {
        address: SocketAddr,
        #[source]
        source: hyper::http::Error,
    },
}

/// User and password of HTTP Basic authentication.
#[derive(Debug, Clone)]
pub struct Basic {
    /// User; here a public key.
    pub user: String,
    /// Password; here a secret key.
    pub password: SecretString,
}

impl Basic {
    fn header(&self) -> Result<HeaderValue, hyper::http::Error> {
        let pair = format!("{}:{}", self.user, self.password.expose_secret());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where to connect.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Authentication, where wanted.
    pub basic: Option<&'a Basic>,
    /// More headers.
    pub headers: &'a [(&'static str, &'a str)],
    /// A JSON body makes it a POST; without one it is a GET.
    pub json: Option<&'a serde_json::Value>,
    /// Time from the first packet to the last byte of the body.
    pub limit: Duration,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body, lossily decoded.
    pub body: String,
    /// From before connecting to the last byte.
    pub elapsed: Duration,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Client {
    allowed: Vec<IpAddr>,
}

impl Client {
    /// A client that reaches loopback only.
    pub fn loopback() -> Self {
        Self::default()
    }

    /// A client that also reaches these addresses, which the engine reported
    /// as those of the stack's own containers.
    pub fn reaching(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            allowed: addresses.into_iter().collect(),
        }
    }

    /// A client that also reaches `address`, as long as that is this host's
    /// own: after a move of the host, or of an address that several share,
    /// another one answers there.
    pub fn of_host(address: IpAddr) -> Self {
        Self::reaching(is_local(address).then_some(address))
    }

    /// Whether it may connect to `address`.
    pub fn permits(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.allowed.contains(&address)
    }

    /// Connects and closes again; for ports that speak TLS.
    pub async fn connect(&self, address: SocketAddr, limit: Duration) -> Result<(), HttpError> {
        self.within(address, limit, self.dial(address))
            .await
            .map(drop)
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let started = Instant::now();
        let address = request.address;
        let (status, body) = self
            .within(address, request.limit, self.exchange(request))
            .await?;
        Ok(Response {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            elapsed: started.elapsed(),
        })
    }

    async fn within<T>(
        &self,
        address: SocketAddr,
        limit: Duration,
        work: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<T, HttpError> {
        if !self.permits(address.ip()) {
            return Err(HttpError::NotOurs { address });
        }
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(HttpError::Timeout { address, limit }))
    }

    async fn dial(&self, address: SocketAddr) -> Result<TcpStream, HttpError> {
        TcpStream::connect(address)
            .await
            .map_err(|source| HttpError::Connect { address, source })
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<(u16, Bytes), HttpError> {
        let address = request.address;
        let message = message(request).map_err(|source| HttpError::Request { address, source })?;
        let stream = self.dial(address).await?;
        exchange(stream, message, BODY_LIMIT)
            .await
            .map_err(|error| match error {
                ExchangeError::Broken(source) => HttpError::Exchange { address, source },
                ExchangeError::TooLarge { limit } => HttpError::TooLarge { address, limit },
            })
    }
}

fn message(request: &Request<'_>) -> Result<hyper::Request<Full<Bytes>>, hyper::http::Error> {
    let mut builder = hyper::Request::builder()
        .uri(request.path)
        .header(HOST, request.host)
        .header(CONNECTION, "close");
    for (name, value) in request.headers {
        builder = builder.header(*name, *value);
    }
    if let Some(basic) = request.basic {
        builder = builder.header(AUTHORIZATION, basic.header()?);
    }
    match request.json {
        None => builder.method("GET").body(Full::default()),
        Some(json) => builder
            .method("POST")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(json.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::langfuse::canned::{Canned, get};

    #[test]
    fn an_address_that_went_to_another_host_is_not_reached() {
        let far: IpAddr = "203.0.113.7".parse().unwrap();
        assert!(!Client::of_host(far).permits(far));
        assert!(Client::of_host(far).permits("127.0.0.1".parse().unwrap()));
        assert!(Client::reaching([far]).permits(far));
    }

    #[tokio::test]
    async fn reads_status_and_body_and_sends_what_was_asked() {
        let server = Canned::answer(207, r#"{"ok":true}"#).start().await;
        let basic = Basic {
            user: "pk".to_owned(),
            password: "sk".to_owned().into(),
        };
        let json = serde_json::json!({"a": 1});
        let request = Request {
            basic: Some(&basic),
            headers: &[("x-langfuse-ingestion-version", "4")],
            json: Some(&json),
            ..get(server.address, "/path?q=1")
        };
        let response = Client::loopback().send(&request).await.unwrap();
        assert_eq!(
            (response.status, response.body.as_str()),
            (207, r#"{"ok":true}"#)
        );
        let seen = server.seen().to_lowercase();
        assert!(seen.starts_with("post /path?q=1 http/1.1\r\n"), "{seen}");
        // base64 of `pk:sk`, lower-cased with the rest.
        for header in [
            "host: lan.example:8080\r\n",
            "authorization: basic cgs6c2s=\r\n",
            "x-langfuse-ingestion-version: 4\r\n",
            "content-type: application/json\r\n",
        ] {
            assert!(seen.contains(header), "{header} is missing in {seen}");
        }
        assert!(seen.ends_with(r#"{"a":1}"#), "{seen}");
    }

    #[tokio::test]
    async fn connects_to_nothing_but_loopback_and_the_stack() {
        let stack: IpAddr = "172.18.0.5".parse().unwrap();
        let client = Client::reaching([stack]);
        assert!(client.permits(stack));
        assert!(client.permits("127.0.0.9".parse().unwrap()));
        assert!(client.permits("::ffff:127.0.0.1".parse().unwrap()));
        for outside in ["172.18.0.6", "1.1.1.1", "169.254.169.254", "0.0.0.0", "::"] {
            let address = SocketAddr::new(outside.parse().unwrap(), 80);
            let error = client.send(&get(address, "/")).await.unwrap_err();
            assert!(matches!(error, HttpError::NotOurs { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn gives_up_on_silence_at_the_limit() {
        let server = Canned::answer(200, "late")
            .after(Duration::from_mins(1))
            .start()
            .await;
        let started = Instant::now();
        let request = Request {
            limit: Duration::from_millis(80),
            ..get(server.address, "/")
        };
        let error = Client::loopback().send(&request).await.unwrap_err();
        assert!(matches!(error, HttpError::Timeout { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn refuses_a_flood() {
        let server = Canned::answer(200, &"x".repeat(BODY_LIMIT + 1))
            .start()
            .await;
        let error = Client::loopback()
            .send(&get(server.address, "/"))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
    }

    #[tokio::test]
    async fn tells_a_closed_port_from_something_that_is_not_http() {
        let server = Canned::raw("SSH-2.0-x\r\n").start().await;
        let address = server.address;
        let error = Client::loopback()
            .send(&get(address, "/"))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Exchange { .. }), "{error}");
        drop(server);
        let error = Client::loopback()
            .connect(address, Duration::from_secs(1))
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Connect { .. }), "{error}");
    }
}
