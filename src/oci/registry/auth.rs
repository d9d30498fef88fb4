//! Getting in: what a registry asks for when it answers 401.
//!
//! A login is looked up only once a registry asked for it, and goes to that
//! registry or to the token server it names, never over a worse connection.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::distribution::Reference;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

use super::Credentials;
use super::answer::{bounded, refusal};
use super::challenge::{self, Challenge};
use super::credentials::{Login, Looked};
use super::error::{Refusal, RequestError};
use super::inside::leads_inside;

/// Bytes of the longest token that is accepted.
const TOKEN_LIMIT: u64 = 256 << 10;
const TOKEN_TIME: Duration = Duration::from_secs(60);

/// What opens a repository.
#[derive(Clone)]
pub(super) struct Access {
    header: SecretString,
    /// Which login it was got with, or what kept one from being used.
    pub(super) refusal: Refusal,
}

impl Access {
    pub(super) fn header(&self) -> Result<HeaderValue, RequestError> {
        header(&self.header)
    }
}

fn header(text: &SecretString) -> Result<HeaderValue, RequestError> {
    let parsed = text.expose_secret().parse();
    let mut value: HeaderValue = parsed.map_err(|_| RequestError::NoToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(user: &str, password: &SecretString) -> SecretString {
    let login = format!("{user}:{}", password.expose_secret());
    format!("Basic {}", STANDARD.encode(login)).into()
}

#[derive(Deserialize)]
struct Token {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
}

/// The access that each repository has granted so far.
pub(super) struct AccessCache {
    credentials: Credentials,
    opened: Mutex<HashMap<String, Access>>,
}

impl AccessCache {
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

    /// Logs in by one of the challenges. `refused` was not accepted;
    /// the second one finds what the first one got.
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
            refused.as_ref().is_some_and(|refused| {
                refused.header.expose_secret() == known.header.expose_secret()
            })
        };
        if let Some(known) = opened.get(&repository(image))
            && !is_refused(known)
        {
            return Ok(known.clone());
        }
        let parsed = challenge::read(challenges);
        let by = |scheme: &str| parsed.iter().find(|one| one.is(scheme));
        let registry = image.resolve_registry();
        let looked = self.credentials.of(registry, image.repository()).await;
        let refusal = Refusal {
            registry: registry.to_owned(),
            login: looked.known.as_ref().map(|known| known.origin.clone()),
            problems: looked.problems.clone(),
        };
        let header = if let Some(bearer) = by("bearer") {
            token(http, image, url, bearer, looked, &refusal).await?
        } else if by("basic").is_some() {
            match looked.known.map(|known| known.login) {
                Some(Login::Password(user, password)) => basic(&user, &password),
                Some(_) => return Err(RequestError::NoPassword(refusal)),
                None => return Err(refusal.into()),
            }
        } else {
            return Err(RequestError::Challenge(challenges.join(", ")));
        };
        let access = Access { header, refusal };
        opened.insert(repository(image), access.clone());
        Ok(access)
    }
}

/// Gets a token for one repository.
async fn token(
    http: &reqwest::Client,
    image: &Reference,
    url: &Url,
    bearer: &Challenge,
    looked: Looked,
    refusal: &Refusal,
) -> Result<SecretString, RequestError> {
    let login = looked.known.map(|known| known.login);
    if let Some(Login::Bearer(token)) = login {
        return Ok(format!("Bearer {}", token.expose_secret()).into());
    }
    let realm = realm(bearer.param("realm").unwrap_or_default())?;
    let text = realm.to_string();
    if leads_inside(url, &realm) {
        return Err(RequestError::Inside(text));
    }
    if url.scheme() == "https" && realm.scheme() != "https" {
        return Err(RequestError::Downgrade(text));
    }
    let scope = format!("repository:{}:pull", image.repository());
    let mut query = vec![("scope", scope)];
    let service = bearer.param("service").map(str::to_owned);
    query.extend(service.map(|service| ("service", service)));
    let failed = |source: RequestError| match source {
        RequestError::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
            refusal.clone().into()
        }
        source => RequestError::Token {
            realm: text.clone(),
            source: Box::new(source),
        },
    };
    let request = token_request(http, realm, query, login)?;
    exchange(request).await.map_err(failed)
}

/// The address of a token server. A name and password in it would be sent as
/// if they were the operator's.
fn realm(text: &str) -> Result<Url, RequestError> {
    let wrong = || RequestError::Address(text.to_owned());
    let mut realm: Url = text.parse().map_err(|_| wrong())?;
    realm.set_username("").map_err(|()| wrong())?;
    realm.set_password(None).map_err(|()| wrong())?;
    Ok(realm)
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
                    request.header(AUTHORIZATION, header(&basic(&user, &password))?)
                }
                _ => request,
            }
        }
    })
}

async fn exchange(request: RequestBuilder) -> Result<SecretString, RequestError> {
    let response = request.timeout(TOKEN_TIME).send().await?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let body = bounded(response, TOKEN_LIMIT).await?;
    let token: Token = serde_json::from_slice(&body).map_err(|_| RequestError::NoToken)?;
    let is_token = |token: &SecretString| !token.expose_secret().is_empty();
    let token = token.token.filter(is_token).or(token.access_token);
    let token = token.filter(is_token).ok_or(RequestError::NoToken)?;
    Ok(format!("Bearer {}", token.expose_secret()).into())
}

fn repository(image: &Reference) -> String {
    format!("{}/{}", image.resolve_registry(), image.repository())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_a_realm_is_not_sent() {
        let read = |text: &str| realm(text).map(|url| url.to_string());
        let dropped = read("https://user:secret@auth.example/token?a=b").unwrap();
        assert_eq!(dropped, "https://auth.example/token?a=b");
        for wrong in ["", "token", "data:a", "mailto:a@b"] {
            read(wrong).unwrap_err();
        }
    }
}
