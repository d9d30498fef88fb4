//! Langfuse's public interfaces, as far as lfctl probes them.
//!
//! `/api/public/health` proves next to nothing: web answers 200 while
//! Postgres, Redis, `ClickHouse` or the blob store are away. What proves the
//! whole path is an event that was sent and read back ([`ingest`],
//! [`read_back`]); what proves that nothing leaves is the update check
//! ([`update_check`]) together with connects from inside the containers
//! (`facts::egress`).

#[cfg(test)]
pub(crate) mod canned;
mod event;

pub mod http;
pub mod query;
pub mod schema;
pub mod sdk;
mod update;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

pub use event::{PROBE_NAME, ProbeError, TraceId, ingest, read_back};
pub use update::{
    BeforeCheck, UPDATE_LIMIT, UpdateCheck, UpdateEvidence, UpdateVerdict, judge, update_check,
};

use crate::engine::Container;
use http::{Client, HttpError, Request, Response};

/// How long a health endpoint may take. With telemetry on and blocked it takes
/// nine seconds and more, which is a finding and not a reason to wait.
pub const HEALTH_LIMIT: Duration = Duration::from_secs(5);

/// Where the web API answers: the gateway.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// The `Host` header: host and port of the public URL.
    pub host: String,
    client: Client,
}

impl Endpoint {
    /// A port on loopback.
    pub fn loopback(port: u16, host: impl Into<String>) -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            host: host.into(),
            client: Client::loopback(),
        }
    }

    /// A port of a container that belongs to the stack, on `network`. `None`
    /// when it has no address there, as when it does not run.
    pub fn of_container(
        container: &Container,
        network: &str,
        port: u16,
        host: impl Into<String>,
    ) -> Option<Self> {
        let ip: IpAddr = container.addresses.get(network)?.parse().ok()?;
        Some(Self {
            address: SocketAddr::new(ip, port),
            host: host.into(),
            client: Client::reaching([ip]),
        })
    }

    /// The way to a gateway: its own address on the `edge` network, the only one
    /// on which this host has an address too, whatever the site published. Containers of a rootless
    /// engine have addresses in a network of their own, so there the
    /// `published` address is the only way; it is `None` where that speaks
    /// TLS.
    ///
    /// # Errors
    ///
    /// Why there is no way.
    pub fn to_gateway(
        gateway: Option<&Container>,
        edge: &str,
        port: u16,
        rootless: bool,
        published: Option<SocketAddr>,
        host: &str,
    ) -> Result<Self, String> {
        if rootless {
            let address = published.ok_or(
                "containers of a rootless engine can be reached only by the published port, \
                 which speaks TLS",
            )?;
            return Ok(Self {
                address,
                host: host.to_owned(),
                client: Client::of_host(address.ip()),
            });
        }
        let gateway = gateway.ok_or("the engine has no container for the gateway")?;
        Self::of_container(gateway, edge, port, host)
            .ok_or_else(|| format!("{} has no address, so it does not run", gateway.name))
    }

    async fn get(&self, path: &str, limit: Duration) -> Result<Response, HttpError> {
        self.client.send(&self.request(path, limit)).await
    }

    fn request<'a>(&'a self, path: &'a str, limit: Duration) -> Request<'a> {
        Request {
            address: self.address,
            host: &self.host,
            path,
            basic: None,
            headers: &[],
            json: None,
            limit,
        }
    }
}

/// What a health endpoint said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// HTTP status.
    pub status: u16,
    /// The version in the body, without a leading `v`.
    pub version: Option<String>,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
}

impl Health {
    fn read(response: &Response) -> Self {
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap_or_default();
        Self {
            status: response.status,
            version: body["version"].as_str().map(str::to_owned),
            elapsed_ms: millis(response.elapsed),
        }
    }

    /// Whether it is a yes.
    pub fn is_ok(&self) -> bool {
        self.status == 200
    }
}

/// `GET /api/public/health`: whether web serves, and its version.
pub async fn health(endpoint: &Endpoint) -> Result<Health, HttpError> {
    let response = endpoint.get("/api/public/health", HEALTH_LIMIT).await?;
    Ok(Health::read(&response))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::langfuse::canned::Canned;

    #[tokio::test]
    async fn health_tells_the_version_and_names_the_public_host() {
        let server = Canned::default()
            .when(
                "/api/public/health ",
                &[(200, r#"{"status":"OK","version":"4.16.0"}"#)],
            )
            .start()
            .await;
        let endpoint = Endpoint::loopback(server.address.port(), "langfuse.lan:8443");
        let health = health(&endpoint).await.unwrap();
        assert!(health.is_ok());
        assert_eq!(health.version.as_deref(), Some("4.16.0"));
        assert!(server.seen().contains("host: langfuse.lan:8443\r\n"));
    }

    #[tokio::test]
    async fn an_error_page_has_no_version() {
        let server = Canned::answer(500, "Internal Server Error").start().await;
        let health = health(&Endpoint::loopback(server.address.port(), "x"))
            .await
            .unwrap();
        assert_eq!((health.status, health.version), (500, None));
    }
}
