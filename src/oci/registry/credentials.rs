//! Logins from Docker's `config.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

/// How Docker names its own registry in `auths`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Logins by registry. Credential helpers are not run.
#[derive(Clone, Default)]
pub struct Credentials {
    logins: BTreeMap<String, (String, String)>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.logins.keys()).finish()
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    auth: String,
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
            .filter_map(|(registry, login)| Some((registry, decode(&login.auth)?)))
            .collect();
        Ok(Self { logins })
    }

    pub(super) fn of(&self, registry: &str) -> RegistryAuth {
        let key = match registry {
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            other => other,
        };
        let with_scheme = format!("https://{key}");
        self.logins
            .get(key)
            .or_else(|| self.logins.get(&with_scheme))
            .map_or(RegistryAuth::Anonymous, |(user, password)| {
                RegistryAuth::Basic(user.clone(), password.clone())
            })
    }
}

fn decode(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_login_of_a_registry() {
        let credentials = Credentials::parse(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"},
                "ghcr.io": {"auth": "Ym90OnRva2Vu"},
                "helper.example": {}
            }, "credsStore": "x"}"#,
        )
        .unwrap();
        let basic =
            |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
        assert_eq!(credentials.of("docker.io"), basic("user", "pass"));
        assert_eq!(credentials.of("ghcr.io"), basic("bot", "token"));
        assert_eq!(credentials.of("helper.example"), RegistryAuth::Anonymous);
        assert_eq!(credentials.of("other.example"), RegistryAuth::Anonymous);
        assert!(!format!("{credentials:?}").contains("token"));
    }
}
