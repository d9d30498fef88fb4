//! Logins as Docker keeps them: in `config.json`, or with a credential helper
//! that is asked only when a registry wants a login.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How Docker names its own registry in `auths`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The name that says: the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper says when it simply has no login.
const NOT_FOUND: &str = "credentials not found";
/// Time for a helper; some ask a person.
const HELPER_TIME: Duration = Duration::from_secs(60);
/// Bytes of a helper's longest answer.
const HELPER_LIMIT: u64 = 64 << 10;

/// What a registry may be shown.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// User name and password.
    Password(String, SecretString),
    /// A token that the token server exchanges for another.
    Identity(SecretString),
}

/// Logins by registry.
#[derive(Clone, Default)]
pub struct Credentials {
    logins: BTreeMap<String, Login>,
    /// Helper by registry.
    helpers: BTreeMap<String, String>,
    /// Helper for every other registry.
    store: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("logins", &self.logins.keys().collect::<Vec<_>>())
            .field("helpers", &self.helpers)
            .field("store", &self.store)
            .finish()
    }
}

/// Why a credential helper gave no login.
#[derive(Debug, thiserror::Error)]
#[error("`docker-credential-{name}` gives no login for {registry}: {problem}")]
pub struct HelperError {
    name: String,
    registry: String,
    problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretString,
}

impl Credentials {
    /// Where Docker keeps the logins of this user.
    pub fn default_path() -> Option<PathBuf> {
        std::env::var_os("DOCKER_CONFIG")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".docker")))
            .map(|dir| dir.join("config.json"))
    }

    /// Reads the text of a `config.json`. Entries without a usable login, as
    /// credential helpers leave them, are passed over.
    ///
    /// # Errors
    ///
    /// The text is no JSON of that shape.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let config: Config = serde_json::from_str(text)?;
        let logins = config
            .auths
            .into_iter()
            .filter_map(|(registry, auth)| Some((registry, login(auth)?)))
            .collect();
        Ok(Self {
            logins,
            helpers: config.cred_helpers,
            store: config.creds_store.filter(|name| !name.is_empty()),
        })
    }

    /// The login for a registry, from a helper where the config names one.
    pub(super) async fn of(&self, registry: &str) -> Result<Option<Login>, HelperError> {
        let key = match registry {
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            other => other,
        };
        let with_scheme = format!("https://{key}");
        let keys = [key, &with_scheme];
        if let Some(name) = keys.iter().find_map(|key| self.helpers.get(*key)) {
            return ask(name, key).await;
        }
        if let Some(login) = keys.iter().find_map(|key| self.logins.get(*key)) {
            return Ok(Some(login.clone()));
        }
        match &self.store {
            Some(name) => ask(name, key).await,
            None => Ok(None),
        }
    }
}

fn login(auth: Auth) -> Option<Login> {
    if !auth.identitytoken.is_empty() {
        return Some(Login::Identity(auth.identitytoken.into()));
    }
    let bytes = STANDARD.decode(auth.auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| Login::Password(user.to_owned(), password.to_owned().into()))
}

/// Asks a helper by Docker's protocol: the registry in, JSON out.
async fn ask(name: &str, registry: &str) -> Result<Option<Login>, HelperError> {
    let failed = |problem: String| HelperError {
        name: name.to_owned(),
        registry: registry.to_owned(),
        problem,
    };
    if name.contains('/') {
        return Err(failed("that is no name of a helper".to_owned()));
    }
    let asked = tokio::time::timeout(HELPER_TIME, converse(name, registry)).await;
    let (succeeded, output) = asked
        .map_err(|_| failed(format!("no answer within {} s", HELPER_TIME.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !succeeded {
        // The helpers of Docker print their errors where answers go.
        let said = String::from_utf8_lossy(&output);
        return if said.contains(NOT_FOUND) {
            Ok(None)
        } else {
            Err(failed(
                said.trim().lines().next().unwrap_or("it fails").to_owned(),
            ))
        };
    }
    // Its text would be in the error of the parser.
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| failed("its answer is not what Docker's helpers say".to_owned()))?;
    Ok(Some(if answer.username == TOKEN_USER {
        Login::Identity(answer.secret)
    } else {
        Login::Password(answer.username, answer.secret)
    }))
}

async fn converse(name: &str, registry: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its question may still answer.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(HELPER_LIMIT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn shown(credentials: &Credentials, registry: &str) -> Option<String> {
        let login = futures_util::FutureExt::now_or_never(credentials.of(registry));
        login.unwrap().unwrap().map(|login| match login {
            Login::Password(user, password) => format!("{user}:{}", password.expose_secret()),
            Login::Identity(token) => format!("token {}", token.expose_secret()),
        })
    }

    #[test]
    fn finds_the_login_of_a_registry() {
        let credentials = Credentials::parse(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"},
                "ghcr.io": {"auth": "Ym90OnRva2Vu"},
                "azure.example": {"auth": "MDA6", "identitytoken": "abc"},
                "helper.example": {}
            }}"#,
        )
        .unwrap();
        for (registry, login) in [
            ("docker.io", Some("user:pass")),
            ("index.docker.io", Some("user:pass")),
            ("ghcr.io", Some("bot:token")),
            ("azure.example", Some("token abc")),
            ("helper.example", None),
            ("other.example", None),
        ] {
            assert_eq!(shown(&credentials, registry).as_deref(), login);
        }
        let debug = format!("{credentials:?}");
        assert!(
            !debug.contains("token") && !debug.contains("abc"),
            "{debug}"
        );
    }
}
