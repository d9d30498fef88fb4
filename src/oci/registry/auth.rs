//! Getting in: what a registry asks for when it answers 401.
//!
//! A login is looked up only once a registry asked for it, and goes to that
//! registry or to the token server it names, never over a worse connection.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_auth::{ChallengeRef, parse_challenges};
use oci_spec::distribution::Reference;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

use super::Credentials;
use super::client::{bounded, refusal};
use super::credentials::Login;
use super::error::RequestError;

/// Bytes of the longest token that is accepted.
const TOKEN_LIMIT: u64 = 256 << 10;
/// Time for a token.
const TOKEN_TIME: Duration = Duration::from_secs(60);

/// What opens a repository.
#[derive(Clone)]
pub(super) struct Access(SecretString);

impl Access {
    fn basic(user: &str, password: &SecretString) -> Self {
        let login = format!("{user}:{}", password.expose_secret());
        Self(format!("Basic {}", STANDARD.encode(login)).into())
    }

    pub(super) fn header(&self) -> Result<HeaderValue, RequestError> {
        let mut value: HeaderValue = self
            .0
            .expose_secret()
            .parse()
            .map_err(|_| RequestError::NoToken)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
}

/// What opened each repository so far.
pub(super) struct Doors {
    credentials: Credentials,
    opened: Mutex<HashMap<String, Access>>,
}

impl Doors {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            opened: Mutex::default(),
        }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) async fn known(&self, image: &Reference) -> Option<Access> {
        self.opened.lock().await.get(&repository(image)).cloned()
    }

    /// Gets in by one of the challenges. `refused` did not open the door;
    /// whoever comes second finds what the first one got.
    pub(super) async fn open(
        &self,
        http: &reqwest::Client,
        image: &Reference,
        url: &Url,
        challenges: &[String],
        refused: Option<Access>,
    ) -> Result<Access, RequestError> {
        let mut opened = self.opened.lock().await;
        let is_refused = |known: &Access| {
            refused
                .as_ref()
                .is_some_and(|refused| refused.0.expose_secret() == known.0.expose_secret())
        };
        if let Some(known) = opened.get(&repository(image))
            && !is_refused(known)
        {
            return Ok(known.clone());
        }
        let parsed: Vec<ChallengeRef<'_>> = challenges
            .iter()
            .filter_map(|text| parse_challenges(text).ok())
            .flatten()
            .collect();
        let by = |scheme: &str| {
            let mut all = parsed.iter();
            all.find(|one| one.scheme.eq_ignore_ascii_case(scheme))
        };
        let access = if let Some(bearer) = by("bearer") {
            self.token(http, image, url, bearer).await?
        } else if by("basic").is_some() {
            self.password(image).await?
        } else {
            return Err(RequestError::Challenge(challenges.join(", ")));
        };
        opened.insert(repository(image), access.clone());
        Ok(access)
    }

    async fn password(&self, image: &Reference) -> Result<Access, RequestError> {
        let registry = image.resolve_registry();
        match self.credentials.of(registry).await? {
            Some(Login::Password(user, password)) => Ok(Access::basic(&user, &password)),
            _ => Err(RequestError::NoLogin(registry.to_owned())),
        }
    }

    async fn token(
        &self,
        http: &reqwest::Client,
        image: &Reference,
        url: &Url,
        bearer: &ChallengeRef<'_>,
    ) -> Result<Access, RequestError> {
        let param = |name: &str| {
            let mut all = bearer.params.iter();
            all.find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_unescaped())
        };
        let text = param("realm").unwrap_or_default();
        let realm: Url = text
            .parse()
            .map_err(|_| RequestError::Address(text.clone()))?;
        let login = self.credentials.of(image.resolve_registry()).await?;
        if url.scheme() == "https" && realm.scheme() != "https" {
            return Err(RequestError::Downgrade(text));
        }
        let scope = format!("repository:{}:pull", image.repository());
        let mut query = vec![("scope", scope)];
        query.extend(param("service").map(|service| ("service", service)));
        let is_anonymous = login.is_none();
        let failed = |source: RequestError| match source {
            RequestError::Status { status, .. } if status.as_u16() == 401 && is_anonymous => {
                RequestError::NoLogin(image.resolve_registry().to_owned())
            }
            RequestError::Status { status, .. } if status.as_u16() == 401 => {
                RequestError::Refused(image.resolve_registry().to_owned())
            }
            source => RequestError::Token {
                realm: text.clone(),
                source: Box::new(source),
            },
        };
        let request = token_request(http, realm, query, login)?;
        exchange(request).await.map_err(failed)
    }
}

fn token_request(
    http: &reqwest::Client,
    mut realm: Url,
    query: Vec<(&str, String)>,
    login: Option<Login>,
) -> Result<RequestBuilder, RequestError> {
    Ok(match login {
        Some(Login::Identity(token)) => {
            let form = Serializer::new(String::new())
                .extend_pairs(query)
                .append_pair("client_id", "lfctl")
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose_secret())
                .finish();
            http.post(realm)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
        }
        login => {
            realm.query_pairs_mut().extend_pairs(query);
            let request = http.get(realm);
            match login {
                Some(Login::Password(user, password)) => {
                    request.header(AUTHORIZATION, Access::basic(&user, &password).header()?)
                }
                _ => request,
            }
        }
    })
}

async fn exchange(request: RequestBuilder) -> Result<Access, RequestError> {
    let response = request.timeout(TOKEN_TIME).send().await?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let body = bounded(response, TOKEN_LIMIT).await?;
    let token: Token = serde_json::from_slice(&body).map_err(|_| RequestError::NoToken)?;
    let token = token.token.or(token.access_token);
    let token = token.ok_or(RequestError::NoToken)?;
    Ok(Access(format!("Bearer {}", token.expose_secret()).into()))
}

fn repository(image: &Reference) -> String {
    format!("{}/{}", image.resolve_registry(), image.repository())
}
