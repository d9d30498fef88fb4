//! Requests to registries: logins, limits, and answers that are bounded.
//!
//! Built on `reqwest` and not on a registry crate: those at hand read a
//! manifest without a limit, do not tell what `Retry-After` says, and know no
//! identity tokens.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};

use super::answer::refusal;
use super::auth::{Access, AccessCache};
use super::error::{RegistryError, RequestError};
use super::inside::leads_inside;
use super::options::RequestLimits;
use super::{Credentials, Options, proxies, tls};

/// Redirects of one request.
const REDIRECTS: usize = 5;

/// What of a repository is asked for.
pub(super) enum Wanted<'a> {
    Manifest { accepted: &'a [&'a str] },
    Blob { digest: String, from: u64 },
}

pub(super) struct Client {
    http: reqwest::Client,
    /// Registries without TLS; all of them when it is empty.
    plain: Option<Vec<String>>,
    access_cache: AccessCache,
    /// Mirrors that are asked without naming the registry they stand for.
    nameless: Mutex<BTreeSet<String>>,
    pub(super) limits: RequestLimits,
}

impl Client {
    pub(super) fn new(options: &Options) -> Result<Self, RegistryError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(options.limits.connect)
            .read_timeout(options.limits.silence)
            .redirect(redirects())
            .user_agent(concat!("lfctl/", env!("CARGO_PKG_VERSION")));
        builder = builder.tls_backend_preconfigured(tls::config(&options.authorities)?);
        builder = match proxies::from_environment() {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        let mirrors = options
            .mirrors
            .iter()
            .map(|mirror| mirror.host().to_owned());
        Ok(Self {
            http: builder.build().map_err(RegistryError::Client)?,
            plain: options.plain_http.then(|| mirrors.collect()),
            access_cache: AccessCache::new(options.credentials.clone()),
            nameless: Mutex::default(),
            limits: options.limits.clone(),
        })
    }

    pub(super) fn credentials(&self) -> &Credentials {
        self.access_cache.credentials()
    }

    /// One request, with a login where the registry wants one. Mirrors of
    /// several registries tell them apart by `ns`, which others refuse.
    pub(super) async fn get(
        &self,
        image: &Reference,
        wanted: &Wanted<'_>,
    ) -> Result<Response, RequestError> {
        let nameless = || self.nameless.lock().unwrap_or_else(PoisonError::into_inner);
        let host = image.resolve_registry();
        let namespace = image.namespace();
        let Some(namespace) = namespace.filter(|_| !nameless().contains(host)) else {
            return self.ask(image, wanted, None).await;
        };
        let refusal = match self.ask(image, wanted, Some(namespace)).await {
            Err(error @ RequestError::Status { .. }) => error,
            other => return other,
        };
        let status = refusal.status().map_or(0, |status| status.as_u16());
        if matches!(status, 408 | 429 | 500..) {
            return Err(refusal);
        }
        match self.ask(image, wanted, None).await {
            Ok(response) => {
                nameless().insert(host.to_owned());
                Ok(response)
            }
            Err(_) if status == 404 => Err(refusal),
            Err(error) => Err(error),
        }
    }

    async fn ask(
        &self,
        image: &Reference,
        wanted: &Wanted<'_>,
        namespace: Option<&str>,
    ) -> Result<Response, RequestError> {
        let url = self.url(image, wanted, namespace)?;
        let mut access = self.access_cache.known(image).await;
        let mut response = self.send(&url, wanted, access.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && response.url().host() == url.host() {
            let challenges = response.headers().get_all(WWW_AUTHENTICATE);
            let challenges: Vec<String> = challenges
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            let refused = access.take();
            let opened = self
                .access_cache
                .open(&self.http, image, &url, &challenges, refused)
                .await?;
            response = self.send(&url, wanted, Some(&opened)).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(opened.refusal.into());
            }
            access = Some(opened);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let error = refusal(response).await;
        Err(error.shown(access.and_then(|access| access.refusal.login)))
    }

    async fn send(
        &self,
        url: &Url,
        wanted: &Wanted<'_>,
        access: Option<&Access>,
    ) -> Result<Response, RequestError> {
        let mut request = self.http.get(url.clone());
        match wanted {
            Wanted::Manifest { accepted } => {
                request = request.header(ACCEPT, accepted.join(", "));
            }
            Wanted::Blob { from: 0, .. } => {}
            Wanted::Blob { from, .. } => request = request.header(RANGE, format!("bytes={from}-")),
        }
        if let Some(access) = access {
            request = request.header(AUTHORIZATION, access.header()?);
        }
        Ok(request.send().await?)
    }

    fn url(
        &self,
        image: &Reference,
        wanted: &Wanted<'_>,
        namespace: Option<&str>,
    ) -> Result<Url, RequestError> {
        let registry = image.resolve_registry();
        let is_plain =
            |plain: &Vec<String>| plain.is_empty() || plain.iter().any(|mirror| mirror == registry);
        let scheme = if self.plain.as_ref().is_some_and(is_plain) {
            "http"
        } else {
            "https"
        };
        let repository = image.repository();
        let rest = match wanted {
            Wanted::Manifest { .. } => {
                let name = image.digest().or(image.tag()).unwrap_or("latest");
                format!("manifests/{name}")
            }
            Wanted::Blob { digest, .. } => format!("blobs/{digest}"),
        };
        let mut text = format!("{scheme}://{registry}/v2/{repository}/{rest}");
        if let Some(namespace) = namespace {
            text.push_str("?ns=");
            text.push_str(namespace);
        }
        text.parse().map_err(|_| RequestError::Address(text))
    }

    /// Waits before the next try: as long as the registry asks for, else
    /// longer each time and never exactly as long as everybody else.
    pub(super) async fn wait(&self, failures: u32, error: &RequestError) {
        let doubled = self
            .limits
            .backoff
            .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let jitter = getrandom::u32().unwrap_or_default() % 512;
        let own = doubled.saturating_mul(768 + jitter) / 1024;
        let wait = error.retry_after().map_or(own, |asked| asked.max(own));
        tokio::time::sleep(wait.min(self.limits.longest_wait)).await;
    }
}

/// Follows a few redirects, and none that gives up TLS.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let was_safe = attempt
            .previous()
            .last()
            .is_some_and(|last| last.scheme() == "https");
        if attempt.previous().len() > REDIRECTS {
            attempt.error("it redirects again and again")
        } else if was_safe && attempt.url().scheme() != "https" {
            attempt.error("it redirects to an address without TLS")
        } else if attempt
            .previous()
            .first()
            .is_some_and(|asked| leads_inside(asked, attempt.url()))
        {
            attempt.error("it redirects to an address of this machine or of its own network")
        } else {
            attempt.follow()
        }
    })
}
