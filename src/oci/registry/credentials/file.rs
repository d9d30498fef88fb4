//! `config.json` of Docker and `auth.json` of Podman.
//!
//! Both are read as Docker's client, written in Go, reads them: keys in any
//! case, `null` as good as nothing, line feeds inside of base64.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::login::{DOCKER_HOSTS, DOCKER_HUB, Login};
use crate::sys::json::field;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone)]
pub(super) struct LoginFile {
    /// Its path.
    pub(super) name: String,
    /// Logins by what the file calls the registry, or why they are none.
    logins: BTreeMap<String, Result<Login, &'static str>>,
    /// Helper by registry; an empty one is none.
    helpers: BTreeMap<String, String>,
    /// Helper for every other registry.
    store: Option<String>,
}

impl fmt::Debug for LoginFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFile")
            .field("name", &self.name)
            .field("logins", &self.logins.keys().collect::<Vec<_>>())
            .field("helpers", &self.helpers)
            .field("store", &self.store)
            .finish()
    }
}

/// A credential helper, and where the file names it.
pub(super) struct Helper<'a> {
    pub(super) name: &'a str,
    pub(super) setting: &'static str,
}

impl LoginFile {
    /// Reads its text.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without a word of what is inside.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let value: Value = if text.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            serde_json::from_str(text).map_err(|error| {
                format!(
                    "it is not JSON (line {}, column {})",
                    error.line(),
                    error.column()
                )
            })?
        };
        let Value::Object(config) = value else {
            return Err("it is not a JSON object".to_owned());
        };
        let map = |name: &str| match field(&config, name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(_) => Err(format!("`{name}` in it is not a JSON object")),
        };
        let mut logins = BTreeMap::new();
        for (key, entry) in map("auths")? {
            if let Some(login) = login(&entry).transpose() {
                logins.insert(key, login);
            }
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let helpers = map("credHelpers")?;
        let helpers = helpers
            .into_iter()
            .map(|(key, value)| (key, text(&value).unwrap_or_default()));
        let store = field(&config, "credsStore").and_then(text);
        Ok(Self {
            name: name.to_owned(),
            logins,
            helpers: helpers.collect(),
            store: store.filter(|name| !name.is_empty()),
        })
    }

    /// The helper to be asked about a registry.
    pub(super) fn helper(&self, registry: &str) -> Option<Helper<'_>> {
        let mut helpers = self.helpers.iter();
        if let Some((_, name)) = helpers.find(|(key, _)| is_of(key, registry)) {
            return (!name.is_empty()).then_some(Helper {
                name,
                setting: "credHelpers",
            });
        }
        let name = self.store.as_deref()?;
        Some(Helper {
            name,
            setting: "credsStore",
        })
    }

    /// The entry of a registry; of several the one that says most of the
    /// repository.
    pub(super) fn entry(
        &self,
        registry: &str,
        repository: &str,
    ) -> Option<(&str, &Result<Login, &'static str>)> {
        let fit = |key: &str| {
            if key == registry || DOCKER_HOSTS.contains(&registry) && key == DOCKER_HUB {
                return Some(1);
            }
            if !is_of(key, registry) {
                return None;
            }
            // Podman keeps logins of parts of a registry as well.
            match namespace(key) {
                None => Some(0),
                Some(part) => {
                    let rest = repository.strip_prefix(part)?;
                    (rest.is_empty() || rest.starts_with('/')).then_some(1 + part.len())
                }
            }
        };
        let fitting = self
            .logins
            .iter()
            .filter_map(|entry| Some((fit(entry.0)?, entry)));
        let (_, (key, login)) = fitting.max_by_key(|(fit, _)| *fit)?;
        Some((key, login))
    }
}

/// Whether a key is one of the spellings of a registry.
fn is_of(key: &str, registry: &str) -> bool {
    let (host, _) = parts(key);
    let is_hub = |name: &str| {
        DOCKER_HOSTS
            .iter()
            .any(|hub| hub.eq_ignore_ascii_case(name))
    };
    host.eq_ignore_ascii_case(registry) || is_hub(host) && is_hub(registry)
}

/// The part of a registry that a key is for. Paths such as `/v1/` behind a
/// scheme are those of Docker's first registries and mean all of it.
fn namespace(key: &str) -> Option<&str> {
    let path = parts(key).1.trim_matches('/');
    let is_whole = key.contains("://") || matches!(path, "" | "v1" | "v2");
    (!is_whole).then_some(path)
}

fn parts(key: &str) -> (&str, &str) {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split_once('/').unwrap_or((rest, ""))
}

/// The login of an entry, if it is there at all.
fn login(entry: &Value) -> Result<Option<Login>, &'static str> {
    let entry = match entry {
        Value::Null => return Ok(None),
        Value::Object(entry) => entry,
        _ => return Err("it is not a JSON object"),
    };
    let text = |name: &str| match field(entry, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err("one of its values is not text"),
    };
    if let Some(token) = text("identitytoken")? {
        return Ok(Some(Login::Identity(token.into())));
    }
    if let Some(token) = text("registrytoken")? {
        return Ok(Some(Login::Bearer(token.into())));
    }
    if let Some(auth) = text("auth")? {
        return decode(auth).map(Some);
    }
    match (text("username")?, text("password")?) {
        (Some(user), Some(password)) => Ok(Some(Login::Password(user.to_owned(), password.into()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("it has a user name and no password"),
        (None, Some(_)) => Err("it has a password and no user name"),
    }
}

fn decode(auth: &str) -> Result<Login, &'static str> {
    let mut auth = auth.to_owned();
    auth.retain(|letter| !letter.is_ascii_whitespace());
    let bytes = BASE64
        .decode(auth)
        .map_err(|_| "its `auth` is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "its `auth` holds no text")?;
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => Ok(Login::Password(
            user.to_owned(),
            password.trim_matches('\0').into(),
        )),
        _ => Err("its `auth` holds no user name and password with a colon between them"),
    }
}
